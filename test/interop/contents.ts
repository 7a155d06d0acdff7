/** What a server holds, in a form that must not change when another program takes over its data directory. */
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { patienceMs } from "../support/process.ts";

const within = { timeoutMs: patienceMs };
const everyKey = { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) };

/** How many revisions are hashed, spread over the history that is there. */
const hashedRevisions = 7;

export interface Contents {
  readonly revision: number;
  readonly compactRevision: number;
  /** Revision → HashKV. */
  readonly hashes: Readonly<Record<number, number>>;
  readonly keys: readonly string[];
  /** Lease → granted seconds and keys. */
  readonly leases: Readonly<Record<string, string>>;
  /** Ids, names, peer URLs: client URLs are told anew by every start. */
  readonly members: readonly string[];
}

/**
 * @param hashAt - revisions to hash, default some above the compacted one up to the current one. At the compacted one
 *   itself the hash is no constant: a restart forgets the deletes made there, in etcd (3.5 and 3.6) as in ours.
 */
export function readContents(endpoint: string, hashAt?: readonly number[]): Promise<Contents> {
  return withClient(endpoint, async (client) => {
    const { kvs, header } = await client.call(methods.range, everyKey, within);
    const revision = Number(header?.revision);
    const { compactRevision } = await client.call(methods.hashKv, {}, within);
    const hashes: Record<number, number> = {};
    for (const at of hashAt ?? spread(Math.max(1, Number(compactRevision) + 1), revision)) {
      hashes[at] = (await client.call(methods.hashKv, { revision: BigInt(at) }, within)).hash;
    }
    const leases: Record<string, string> = {};
    for (const { ID } of (await client.call(methods.leaseList, {}, within)).leases) {
      const { grantedTTL, keys } = await client.call(methods.leaseTimeToLive, { ID, keys: true }, within);
      leases[ID.toString(16)] = `${grantedTTL} s: ${keys.map(text).sort().join(" ")}`;
    }
    const { members } = await client.call(methods.memberList, {}, within);
    return {
      revision,
      compactRevision: Number(compactRevision),
      hashes,
      keys: kvs.map((kv) => [text(kv.key), kv.createRevision, kv.modRevision, kv.version, kv.lease].join(" ")),
      leases: Object.fromEntries(Object.entries(leases).sort(([a], [b]) => (a < b ? -1 : 1))),
      members: members.map(({ ID, name, peerURLs }) => `${ID.toString(16)} ${name} ${peerURLs.join(",")}`),
    };
  });
}

function spread(first: number, last: number): number[] {
  const step = Math.max(1, Math.floor((last - first) / (hashedRevisions - 1)));
  const revisions = new Set([last]);
  for (let at = first; at < last; at += step) revisions.add(at);
  return [...revisions].sort((a, b) => a - b);
}

function text(value: Uint8Array): string {
  return Buffer.from(value).toString("latin1");
}
