/**
 * Ids that etcd derives or makes: of members and clusters at bootstrap, and of requests at run time.
 *
 * Member: the first 8 bytes of SHA-1 over the sorted peer URLs, one after the other, and the cluster token.
 * Cluster: the first 8 bytes of SHA-1 over the sorted member ids, 8 bytes big endian each.
 * Request: unique over members and restarts, so that a waiter is never answered by somebody else's entry:
 *
 *     | 16 bits: low end of the member id | 40 bits: milliseconds since 1970 | 8 bits: 0 |  + 1 for each further id
 *
 * Sources: etcd server/etcdserver/api/membership/member.go and cluster.go, pkg/idutil/id.go.
 */
import { createHash } from "node:crypto";
import { highOf, lowOf, toUint64 } from "../wire/hot/words.ts";

/** @param peerUrls - as Go prints them; the order does not matter. */
export function deriveMemberId(peerUrls: readonly string[], token: string): bigint {
  return firstBytes(Buffer.from([...peerUrls].sort().join("") + token, "utf8"));
}

export function deriveClusterId(memberIds: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(memberIds.length * 8);
  const sorted = [...memberIds].sort((a, b) => (a < b ? -1 : 1));
  for (const [index, id] of sorted.entries()) bytes.writeBigUInt64BE(id, index * 8);
  return firstBytes(bytes);
}

function firstBytes(input: Uint8Array): bigint {
  return createHash("sha1").update(input).digest().readBigUInt64BE(0);
}

const WORD = 0x1_0000_0000;
const SEQUENCES = 0x1_0000_0000_0000;

/**
 * Makes request ids. The lower 48 bits are a `number`, the *sequence* of the request, which is how a pending request is
 * known inside the member; the upper 16 bits tell the members apart.
 */
export class RequestIds {
  readonly #memberBits: number;
  readonly #first: number;
  #next: number;

  /** @param nowMs - milliseconds since 1970. */
  constructor(memberId: bigint, nowMs: number) {
    this.#memberBits = Number(memberId & 0xffffn);
    this.#first = (nowMs % 0x100_0000_0000) * 256 + 1;
    this.#next = this.#first;
  }

  /** The next id's position counted from the first one made by this object: dense, from 0. */
  next(): number {
    return this.#next++ - this.#first;
  }

  /** Upper 32 bits of the id of a sequence. */
  high(sequence: number): number {
    return this.#memberBits * 0x1_0000 + (Math.floor((this.#first + sequence) / WORD) & 0xffff);
  }

  /** Lower 32 bits of the id of a sequence. */
  low(sequence: number): number {
    return (this.#first + sequence) % WORD;
  }

  toBigInt(sequence: number): bigint {
    return toUint64(this.low(sequence), this.high(sequence));
  }

  /** As {@link sequenceOf}. */
  sequenceOfId(id: bigint): number {
    return this.sequenceOf(highOf(id), lowOf(id));
  }

  /** The sequence of an id, or -1 when this object did not make it. */
  sequenceOf(high: number, low: number): number {
    if (high >>> 16 !== this.#memberBits) return -1;
    // The 48 bits wrap around once in 34 years.
    const sequence = ((high & 0xffff) * WORD + low - this.#first + SEQUENCES) % SEQUENCES;
    return sequence < this.#next - this.#first ? sequence : -1;
  }
}
