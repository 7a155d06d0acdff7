/** Starts a member on a data directory. */
import type { Platform } from "../platform/platform.ts";
import { buckets } from "../storage/backend/bucket.ts";
import { bootstrap } from "./bootstrap.ts";
import type { MemberConfig } from "./config.ts";
import { EtcdMember } from "./etcd-member.ts";
import type { Member } from "./member.ts";

const authRevisionKey = new Uint8Array(Buffer.from("authRevision", "latin1"));
/** Counts changes of users and roles; etcd writes the first value outside the log, at any member's first start. */
const firstAuthRevision = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1);

/**
 * Starts a member on its data directory. Resolves when its raft loop runs, which is before it has a leader: see
 * `Member.whenReady`.
 *
 * @throws {StartError} or {CorruptionError}: nothing runs then.
 */
export async function startMember(config: MemberConfig, platform: Platform): Promise<Member> {
  const log = platform.log.withCaller("server/start-member.ts");
  // A backend that fails while the member is being built has nobody to tell yet; the member asks for it.
  const early: { member?: EtcdMember; error?: Error } = {};
  const onFatal = (error: Error): void => {
    early.error ??= error;
    early.member?.fail(error);
  };
  const parts = await bootstrap(config, platform, onFatal);
  if (parts.backend.get(buckets.auth, authRevisionKey) === undefined) {
    parts.backend.put(buckets.auth, authRevisionKey, firstAuthRevision);
  }
  const member = new EtcdMember(config, platform, log, parts);
  early.member = member;
  if (early.error !== undefined) {
    await member.stop();
    throw early.error;
  }
  member.run();
  return member;
}
