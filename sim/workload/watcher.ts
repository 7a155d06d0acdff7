/** A watcher that goes on where it was whenever its stream ends, moves between members, and asks for bookmarks. */
import type { SeededRandom } from "../../src/platform/virtual/index.ts";
import type { KeyRange } from "../history/history.ts";
import { type RecordingClient, resumeRevision } from "../history/recorder.ts";

export interface WatcherParts {
  readonly id: number;
  /** Which of the ranges; the first one is everything. */
  readonly position: number;
  readonly random: SeededRandom;
  readonly connect: (choice: number) => RecordingClient;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly isOver: () => boolean;
}

const ranges: readonly KeyRange[] = [{ key: "a", end: "z" }, { key: "key-0", end: "key-4" }, { key: "key-2" }];
/** When a stream stays silent for so long, clients of etcd give it up too. */
const lifeMeanMs = 12_000;

export async function runWatcher({ id, position, random, connect, sleep, isOver }: WatcherParts): Promise<void> {
  const range = ranges[position % ranges.length];
  // The first one sees everything from the beginning, which tells the search for a linearization what unknown writes did.
  let startRevision = position === 0 || random.below(2) === 0 ? 1 : 0;
  while (!isOver()) {
    const client = connect(random.below(1_000));
    const watch = client.watch(range, { watcher: id, startRevision, withPrevious: random.below(2) === 0 });
    let hasEnded = false;
    void watch.ended.then(() => (hasEnded = true));
    const lifeMs = -Math.log(1 - random.float()) * lifeMeanMs;
    for (let livedMs = 0; livedMs < lifeMs && !hasEnded && !isOver(); livedMs += 250) {
      await sleep(250);
      if (random.float() < 0.1) watch.requestProgress();
    }
    if (isOver()) return; // it stays open, so that it gets the rest
    watch.cancel();
    startRevision = resumeRevision(watch.record);
    // Sometimes from further back, which the server reads from its history.
    if (random.float() < 0.2) startRevision = Math.max(1, startRevision - random.below(40));
    await sleep(random.float() * 300);
  }
}
