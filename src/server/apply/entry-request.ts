/**
 * The request in a log entry: InternalRaftRequest, or what members before 3.6 wrote for their own bookkeeping, the bare
 * request of the old store. The two can be told apart because the old one does not parse as the new one.
 */
import { InvariantError } from "../../base/assert.ts";
import { Request as OldRequest } from "../../wire/gen/etcdserverpb/etcdserver.ts";
import { decodeRaftRequest, type RaftRequest } from "../../wire/hot/raft-request.ts";

export type EntryRequest = RaftRequest | { readonly id: bigint; readonly kind: "old"; readonly old: OldRequest };

/** @throws {InvariantError} when the bytes are neither: the log passed its checksums, so a program wrote nonsense. */
export function decodeEntryRequest(bytes: Uint8Array): EntryRequest {
  let request: RaftRequest;
  try {
    request = decodeRaftRequest(bytes);
  } catch (cause) {
    return decodeOld(bytes, cause);
  }
  if (request.kind === "v2") return { id: request.v2.ID, kind: "old", old: request.v2 };
  return request;
}

function decodeOld(bytes: Uint8Array, cause: unknown): EntryRequest {
  try {
    const old = OldRequest.decode(bytes);
    return { id: old.ID, kind: "old", old };
  } catch {
    throw new InvariantError("an entry in the log is not a request of any known form", { cause });
  }
}
