/**
 * Finds the watchers of a key. Watchers of the same range form a group, so that a thousand watchers of one prefix are
 * found, and their events encoded, once. Groups of a single key stand in a map, the others in {@link RangeGroups}.
 */
import { asBuffer } from "../../base/bytes.ts";
import { RangeGroups } from "./range-groups.ts";
import { WatchGroup } from "./watch-group.ts";
import type { Watcher } from "./watcher.ts";

export class WatchIndex {
  readonly #byKey = new Map<string, WatchGroup>();
  readonly #byRange = new RangeGroups();
  #size = 0;

  /** Watchers in the index. */
  get size(): number {
    return this.#size;
  }

  /** All of them, in a list of the caller's. */
  watchers(): Watcher[] {
    return [...this.#byKey.values(), ...this.#byRange.all()].flatMap((group) => group.watchers);
  }

  add(watcher: Watcher): void {
    const group = this.#groupFor(watcher.options.key, watcher.options.rangeEnd);
    watcher.group = group;
    watcher.groupSlot = group.watchers.length;
    group.watchers.push(watcher);
    this.#size++;
  }

  /** The watcher must be in this index. The last watcher of its group takes its place: iterate groups backwards. */
  remove(watcher: Watcher): void {
    const { group } = watcher;
    if (group === undefined) return;
    const last = group.watchers.pop()!;
    if (last !== watcher) {
      group.watchers[watcher.groupSlot] = last;
      last.groupSlot = watcher.groupSlot;
    }
    watcher.group = undefined;
    this.#size--;
    if (group.watchers.length > 0) return;
    if (group.rangeEnd.length === 0) this.#byKey.delete(keyText(group.start));
    else this.#byRange.remove(group);
  }

  /** Visits every group whose range holds `key`. `visit` must not change the index. */
  match(key: Uint8Array, visit: (group: WatchGroup) => void): void {
    if (this.#byKey.size > 0) {
      const group = this.#byKey.get(keyText(key));
      if (group !== undefined) visit(group);
    }
    if (!this.#byRange.isEmpty) this.#byRange.match(key, visit);
  }

  #groupFor(key: Uint8Array, rangeEnd: Uint8Array): WatchGroup {
    const isKey = rangeEnd.length === 0;
    const found = isKey ? this.#byKey.get(keyText(key)) : this.#byRange.find(key, rangeEnd);
    if (found !== undefined) return found;
    const group = new WatchGroup(key, rangeEnd);
    if (isKey) this.#byKey.set(keyText(key), group);
    else this.#byRange.add(group);
    return group;
  }
}

/** One character a byte: only to be equal or not, never to be shown. */
function keyText(key: Uint8Array): string {
  return asBuffer(key).toString("latin1");
}
