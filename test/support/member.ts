/** Members for tests: started on the real platform, asked through the facade. */
import { createHash } from "node:crypto";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import type { Platform } from "../../src/platform/platform.ts";
import type { Change, Revision } from "../../src/mvcc/change.ts";
import type { ApplyResult } from "../../src/server/apply/result.ts";
import { memberConfig, type MemberConfig } from "../../src/server/config.ts";
import type { Member } from "../../src/server/member.ts";
import { startMember } from "../../src/server/start-member.ts";
import { LeaseGrantRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { encodePutRequest } from "../../src/wire/hot/kv-requests.ts";
import { decodeKeyValue } from "../../src/wire/hot/key-value.ts";
import type { KeyValue, PutRequest, RangeRequest } from "../../src/wire/hot/types.ts";
import type { RequestKind } from "../../src/wire/hot/raft-request.ts";

const none = new Uint8Array(0);

/** The real platform; lines of level `fatal` go to standard error unless `lines` collects all of them. */
export function testPlatform(lines?: string[]): Platform {
  const write = lines === undefined ? undefined : (line: string): void => void lines.push(line);
  return createNodePlatform({ log: createStderrLogger(lines === undefined ? "fatal" : "debug", write) });
}

/** Starts a member and waits until it serves. */
export async function startReadyMember(
  config: Partial<MemberConfig> & { readonly dataDir: string },
  platform: Platform = testPlatform(),
): Promise<Member> {
  const member = await startMember(memberConfig(config), platform);
  await member.whenReady();
  return member;
}

export function propose(member: Member, kind: RequestKind, request: Uint8Array): Promise<ApplyResult> {
  return new Promise((resolve, reject) => {
    member.propose(kind, request, (error, result) => {
      if (error !== undefined) reject(error);
      else resolve(result!);
    });
  });
}

export function readIndex(member: Member): Promise<void> {
  return new Promise((resolve, reject) => {
    member.readIndex((error) => (error === undefined ? resolve() : reject(error)));
  });
}

export function putRequest(key: string, value: string, changes: Partial<PutRequest> = {}): Uint8Array {
  const request: PutRequest = {
    key: Buffer.from(key),
    value: Buffer.from(value),
    lease: 0n,
    prevKv: false,
    ignoreValue: false,
    ignoreLease: false,
    ...changes,
  };
  return encodePutRequest(request);
}

export function put(member: Member, key: string, value: string): Promise<ApplyResult> {
  return propose(member, "put", putRequest(key, value));
}

export function leaseGrant(id: bigint, ttlSeconds: bigint): Uint8Array {
  return LeaseGrantRequest.encode({ ID: id, TTL: ttlSeconds }).finish();
}

/** Every key, at a revision. */
export function rangeAll(revision = 0): RangeRequest {
  return {
    key: Uint8Array.of(0),
    rangeEnd: Uint8Array.of(0),
    limit: 0,
    revision,
    sortOrder: 0,
    sortTarget: 0,
    serializable: true,
    keysOnly: false,
    countOnly: false,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  };
}

export function get(member: Member, key: string): string | undefined {
  const request = { ...rangeAll(), key: Buffer.from(key), rangeEnd: none };
  const [bytes] = member.store.range(request).response.kvs;
  return bytes === undefined ? undefined : Buffer.from(decodeKeyValue(bytes).value).toString();
}

export function hashKv(member: Member, revision: number): { hash: number; compactRevision: number } {
  const job = member.store.hashKv(revision);
  while (!job.step(1_000));
  return job.result;
}

/** The dump rule of the fixtures: one JSON line a pair. */
export function dumpLine(kv: KeyValue): string {
  const base = {
    key: base64(kv.key),
    create_revision: String(kv.createRevision),
    mod_revision: String(kv.modRevision),
    version: String(kv.version),
    lease: String(kv.lease),
  };
  const value =
    kv.value.length > 1024
      ? { value_sha256: sha256(kv.value), value_len: kv.value.length }
      : { value: base64(kv.value) };
  return JSON.stringify({ ...base, ...value });
}

export function dumpSha256(member: Member, revision: number): { keys: number; sha256: string } {
  const pairs = member.store.range(rangeAll(revision)).response.kvs.map(decodeKeyValue);
  const text = pairs.map((kv) => `${dumpLine(kv)}\n`).join("");
  return { keys: pairs.length, sha256: sha256(Buffer.from(text)) };
}

/** The history rule of the fixtures: one JSON line an event, with the pair before it. */
export function historySha256(member: Member, from: number): { events: number; sha256: string } {
  const lines: string[] = [];
  const { store } = member;
  const line = (change: Change): void => {
    const previous = change.isCreate ? undefined : store.keyValueAt(change.key, change.main - 1);
    const kv = dumpLine(decodeKeyValue(change.kv));
    const prev = previous === undefined ? "null" : dumpLine(decodeKeyValue(previous));
    lines.push(`{"type":"${change.kind === "put" ? "PUT" : "DELETE"}","kv":${kv},"prev":${prev}}\n`);
  };
  let next: Revision | undefined = { main: from, sub: 0 };
  while (next !== undefined) {
    next = store.eventsSince(next, store.currentRevision + 1, 1_000, (change) => {
      line(change);
      return true;
    });
  }
  return { events: lines.length, sha256: sha256(Buffer.from(lines.join(""))) };
}

export function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
