/** ResponseHeader, encoded once for many answers: within a batch most have the same revision and term. */
import {
  sizeOfBigField,
  sizeOfLength,
  sizeOfNumberField,
  writeBigField,
  writeNumberField,
  writeVarint,
} from "./wire-writer.ts";

export class HeaderEncoder {
  readonly #clusterId: bigint;
  readonly #memberId: bigint;
  readonly #idsSize: number;
  #revision = -1;
  #raftTerm = -1;
  #encoded: Uint8Array = new Uint8Array(0);

  constructor({ clusterId, memberId }: { readonly clusterId: bigint; readonly memberId: bigint }) {
    this.#clusterId = clusterId;
    this.#memberId = memberId;
    this.#idsSize = sizeOfBigField(clusterId) + sizeOfBigField(memberId);
  }

  /** The complete header field (field 1 of every answer): shared, never changed afterwards. */
  encode(revision: number, raftTerm: number): Uint8Array {
    if (revision === this.#revision && raftTerm === this.#raftTerm) return this.#encoded;
    const size = this.#idsSize + sizeOfNumberField(revision) + sizeOfNumberField(raftTerm);
    const target = new Uint8Array(sizeOfLength(size));
    target[0] = 0x0a;
    let at = writeVarint(target, 1, size);
    at = writeBigField(target, at, 0x08, this.#clusterId);
    at = writeBigField(target, at, 0x10, this.#memberId);
    at = writeNumberField(target, at, 0x18, revision);
    writeNumberField(target, at, 0x20, raftTerm);
    this.#revision = revision;
    this.#raftTerm = raftTerm;
    this.#encoded = target;
    return target;
  }
}
