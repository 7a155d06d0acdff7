/**
 * The header that nearly every answer starts with, as a complete field 1.
 *
 *     0a <length>  08 <cluster_id>  10 <member_id>  18 <revision>  20 <raft_term>
 *
 * Both ids never change, and many answers share revision and term.
 */
import {
  allocate,
  copyInto,
  sizeOfInt64,
  sizeOfVarint,
  writeBigInt64,
  writeInt64Field,
  writeVarint,
} from "./writer.ts";

/** Encodes the headers of one member. */
export class HeaderEncoder {
  readonly #ids: Uint8Array;
  #revision = -1;
  #raftTerm = -1;
  #encoded: Uint8Array;

  constructor({ clusterId, memberId }: { readonly clusterId: bigint; readonly memberId: bigint }) {
    this.#ids = encodeIds(clusterId, memberId);
    this.#encoded = this.#ids;
  }

  /** The whole header field. Shared: nobody may write to it; it stays as it is and may be kept. */
  encode(revision: number, raftTerm: number): Uint8Array {
    if (revision === this.#revision && raftTerm === this.#raftTerm) return this.#encoded;
    let size = this.#ids.length;
    if (revision !== 0) size += 1 + sizeOfInt64(revision);
    if (raftTerm !== 0) size += 1 + sizeOfVarint(raftTerm);
    const target = allocate(1 + sizeOfVarint(size) + size);
    target[0] = 0x0a;
    let end = copyInto(target, writeVarint(target, 1, size), this.#ids);
    if (revision !== 0) end = writeInt64Field(target, end, 0x18, revision);
    if (raftTerm !== 0) writeInt64Field(target, end, 0x20, raftTerm);
    this.#revision = revision;
    this.#raftTerm = raftTerm;
    this.#encoded = target;
    return target;
  }
}

function encodeIds(clusterId: bigint, memberId: bigint): Uint8Array {
  const target = new Uint8Array(22);
  let end = 0;
  if (clusterId !== 0n) {
    target[end] = 0x08;
    end = writeBigInt64(target, end + 1, clusterId);
  }
  if (memberId !== 0n) {
    target[end] = 0x10;
    end = writeBigInt64(target, end + 1, memberId);
  }
  return new Uint8Array(target.subarray(0, end));
}

/** Size of the header inside a transaction, which says the revision alone: a complete field. */
export function sizeOfInnerHeader(revision: number): number {
  return revision === 0 ? 2 : 3 + sizeOfInt64(revision);
}

/** Writes the header inside a transaction; with revision 0 it is there but empty. */
export function writeInnerHeader(revision: number, target: Uint8Array, offset: number): number {
  target[offset] = 0x0a;
  target[offset + 1] = sizeOfInnerHeader(revision) - 2;
  return revision === 0 ? offset + 2 : writeInt64Field(target, offset + 2, 0x18, revision);
}
