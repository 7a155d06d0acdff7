/** Starts a member on a data directory. */
import type { Platform } from "../platform/platform.ts";
import { bootstrap } from "./bootstrap.ts";
import type { MemberConfig } from "./config.ts";
import { EtcdMember } from "./etcd-member.ts";
import type { Member } from "./member.ts";
import { openState } from "./state.ts";

/**
 * Starts a member on its data directory. Resolves when its raft loop runs, which is before it has a leader: see
 * `Member.whenReady`.
 *
 * @throws {StartError} or {CorruptionError}: nothing runs then.
 */
export async function startMember(config: MemberConfig, platform: Platform): Promise<Member> {
  // A backend that fails before the member exists has nobody to tell yet.
  const early: { member?: EtcdMember; error?: Error } = {};
  const bootstrapped = await bootstrap(config, platform, (error) => {
    early.error ??= error;
    early.member?.fail(error);
  });
  const { backend, wal } = bootstrapped;
  try {
    if (early.error !== undefined) throw early.error;
    const member = new EtcdMember(config, platform, bootstrapped, openState(config, platform, bootstrapped));
    early.member = member;
    await member.checkBeforeStart(bootstrapped.dirs.hasWal);
    member.run();
    return member;
  } catch (error) {
    if (early.member !== undefined) {
      await early.member.stop();
      throw error;
    }
    await wal.close();
    await backend.close();
    throw error;
  }
}
