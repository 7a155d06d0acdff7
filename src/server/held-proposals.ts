/**
 * Proposals that another member passed on to us while we know of no leader. It took us for the leader, and we may soon be
 * it again or know who is: dropped here, its client would wait in vain for the whole of its time limit. etcd keeps them
 * too, since its raft node takes no proposals without a leader.
 */
import type { Message } from "../wire/raft/types.ts";

/** As many as etcd's transport keeps from one peer. */
const heldMax = 4_096;
/** Of entry data; a proposal may be of 1.5 MiB and more. */
const heldBytesMax = 64 << 20;

export class HeldProposals {
  #messages: Message[] = [];
  #bytes = 0;

  get count(): number {
    return this.#messages.length;
  }

  /** @returns false when there is no room, and it is dropped. */
  hold(message: Message): boolean {
    const bytes = bytesOf(message);
    if (this.#messages.length >= heldMax || this.#bytes + bytes > heldBytesMax) return false;
    this.#messages.push(message);
    this.#bytes += bytes;
    return true;
  }

  /** Gives them up, in the order they came. */
  take(): Message[] {
    const messages = this.#messages;
    this.#messages = [];
    this.#bytes = 0;
    return messages;
  }
}

function bytesOf({ entries }: Message): number {
  let bytes = 0;
  for (const { data } of entries) bytes += data.length;
  return bytes;
}
