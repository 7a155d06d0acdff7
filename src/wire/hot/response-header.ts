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
  /** The fields of the two ids. */
  readonly #ids: Uint8Array;
  #revision = -1;
  #raftTerm = -1;
  #encoded: Uint8Array = new Uint8Array(0);

  constructor({ clusterId, memberId }: { readonly clusterId: bigint; readonly memberId: bigint }) {
    this.#ids = new Uint8Array(sizeOfBigField(clusterId) + sizeOfBigField(memberId));
    writeBigField(this.#ids, writeBigField(this.#ids, 0, 0x08, clusterId), 0x10, memberId);
  }

  /** The complete header field (field 1 of every answer): shared, never changed afterwards. */
  encode(revision: number, raftTerm: number): Uint8Array {
    if (revision === this.#revision && raftTerm === this.#raftTerm) return this.#encoded;
    const ids = this.#ids;
    const size = ids.length + sizeOfNumberField(revision) + sizeOfNumberField(raftTerm);
    const target = new Uint8Array(sizeOfLength(size));
    target[0] = 0x0a;
    let at = writeVarint(target, 1, size);
    // A loop: so few bytes are copied before a call into native code has begun.
    for (let index = 0; index < ids.length; index++) target[at++] = ids[index];
    at = writeNumberField(target, at, 0x18, revision);
    writeNumberField(target, at, 0x20, raftTerm);
    this.#revision = revision;
    this.#raftTerm = raftTerm;
    this.#encoded = target;
    return target;
  }
}
