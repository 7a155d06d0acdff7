/**
 * Appends to followers that wait while the leader's own log is busy with entries before them.
 *
 *     log         [ sync of 5..9 ][ sync of 10..17 ]
 *     proposals      10 11..13 14..17
 *     appends     5..9            10..17               in place of 10, 11..13, 14..17
 *
 * Sent at once they would gain nothing, because followers, too, are still syncing what came before; but each costs every
 * member a message, a turn of the loop, a write of its log and an acknowledgement. So they wait until a sync of the
 * leader's log ends or something more is committed, whichever is first, and go out together. A leader with a slow disk is
 * paced by the others and not by it, and a client alone never waits: before its entry there is none under way. (etcd's
 * leader does not look at new proposals at all while it syncs.)
 *
 * Raft does not mind: a late message is an ordinary one, and the order is kept. What is held is bounded by raft's limits
 * on what may be in flight to a follower.
 */
import { type Message, MessageType } from "../wire/raft/types.ts";

export class AppendHold {
  /** Last index that was given to the log. */
  appendedIndex = 0;
  #held: Message[] = [];
  #isOn = false;
  #isOver = false;

  /** A turn of the loop begins. @param isLogBusy - a write of the log is under way. */
  beginTurn({ isLeader, committed }: { isLeader: boolean; committed: number }, isLogBusy: boolean): void {
    this.#isOn = isLeader && isLogBusy && this.appendedIndex > committed;
    this.#isOver ||= !isLeader;
  }

  /** Whether it keeps a message. Behind one that is kept every append waits: they stay in order. */
  keeps(message: Message): boolean {
    if (message.type !== MessageType.App) return false;
    if (this.#held.length === 0 && (!this.#isOn || message.entries.length === 0)) return false;
    this.#held.push(message);
    return true;
  }

  /** What is held goes out with this turn, or the next if none is running. @returns whether there is something. */
  end(): boolean {
    this.#isOver = true;
    return this.#held.length > 0;
  }

  /** Appends what is to go out to `target`, at the end of a turn. */
  releaseTo(target: Message[]): void {
    if (this.#isOver && this.#held.length > 0) {
      target.push(...this.#held);
      this.#held = [];
    }
    this.#isOver = false;
  }
}
