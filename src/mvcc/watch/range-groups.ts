/**
 * The watch groups of ranges, found by a key within. They stand sorted in blocks, and so do the blocks, each seen as one
 * interval: whoever comes or goes moves one block, and makes the greatest ends of that block and of the list of blocks stale,
 * not those of all. With ten thousand ranges, one of which changes between two puts, that is a hundredth of the work.
 */
import { compareBytes } from "../../base/bytes.ts";
import { type Interval, IntervalArray, type IntervalEnd } from "./interval-array.ts";
import type { WatchGroup } from "./watch-group.ts";

/** A block that grows beyond it becomes two. */
const blockGroupsMax = 256;

/** Never empty. */
class Block implements Interval {
  readonly groups = new IntervalArray<WatchGroup>();

  get start(): Uint8Array {
    return this.groups.items[0].start;
  }

  get end(): IntervalEnd {
    return this.groups.greatestEnd;
  }
}

export class RangeGroups {
  readonly #blocks = new IntervalArray<Block>();

  get isEmpty(): boolean {
    return this.#blocks.items.length === 0;
  }

  all(): WatchGroup[] {
    return this.#blocks.items.flatMap((block) => block.groups.items);
  }

  find(start: Uint8Array, rangeEnd: Uint8Array): WatchGroup | undefined {
    if (this.isEmpty) return undefined;
    const { groups } = this.#blocks.items[this.#blockFor(start, rangeEnd)];
    const group = groups.items[placeOf(groups.items, start, rangeEnd)];
    return group !== undefined && orderOf(group, start, rangeEnd) === 0 ? group : undefined;
  }

  /** There must be none of the same range. */
  add(group: WatchGroup): void {
    if (this.isEmpty) this.#blocks.insert(0, new Block());
    const { start, rangeEnd } = group;
    const at = this.#blockFor(start, rangeEnd);
    const { groups } = this.#blocks.items[at];
    groups.insert(placeOf(groups.items, start, rangeEnd), group);
    this.#blocks.changed();
    if (groups.items.length > blockGroupsMax) this.#split(at);
  }

  /** It must be here. */
  remove({ start, rangeEnd }: WatchGroup): void {
    const at = this.#blockFor(start, rangeEnd);
    const { groups } = this.#blocks.items[at];
    groups.remove(placeOf(groups.items, start, rangeEnd));
    if (groups.items.length === 0) this.#blocks.remove(at);
    else this.#blocks.changed();
  }

  /** Visits every group whose range holds `key`. `visit` must not change this. */
  match(key: Uint8Array, visit: (group: WatchGroup) => void): void {
    this.#blocks.match(key, (block) => block.groups.match(key, visit));
  }

  #split(at: number): void {
    const upper = new Block();
    const moved = this.#blocks.items[at].groups.cut(blockGroupsMax >>> 1);
    for (const group of moved) upper.groups.insert(upper.groups.items.length, group);
    this.#blocks.insert(at + 1, upper);
  }

  /** The last block that begins at or below the range; the first when none does. */
  #blockFor(start: Uint8Array, rangeEnd: Uint8Array): number {
    const blocks = this.#blocks.items;
    let low = 1;
    let high = blocks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (orderOf(blocks[middle].groups.items[0], start, rangeEnd) <= 0) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

/** First place whose range is not below the given one. */
function placeOf(groups: readonly WatchGroup[], start: Uint8Array, rangeEnd: Uint8Array): number {
  let low = 0;
  let high = groups.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (orderOf(groups[middle], start, rangeEnd) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function orderOf(group: WatchGroup, start: Uint8Array, rangeEnd: Uint8Array): number {
  return compareBytes(group.start, start) || compareBytes(group.rangeEnd, rangeEnd);
}
