import { expect, test } from "vitest";
import { createStderrLogger } from "../platform/node/index.ts";
import { RequestIds } from "./ids.ts";
import { ReadIndex } from "./read-index.ts";

function setup(): {
  reads: ReadIndex;
  asked: Uint8Array[];
  confirmedRounds: number[];
  read: () => { outcome: string | undefined };
} {
  const asked: Uint8Array[] = [];
  const confirmedRounds: number[] = [];
  let begun = 0;
  const reads = new ReadIndex({
    ids: new RequestIds(1n, 1_000),
    log: createStderrLogger("fatal"),
    timeoutMs: 7_000,
    ask: (context) => asked.push(context),
    beginRound: () => ({ term: 1, monotonicMs: ++begun, wallMs: 0 }),
    roundConfirmed: ({ monotonicMs }) => confirmedRounds.push(monotonicMs),
  });
  const read = (): { outcome: string | undefined } => {
    const state: { outcome: string | undefined } = { outcome: undefined };
    reads.add((error) => (state.outcome = error?.reason ?? "served"));
    return state;
  };
  return { reads, asked, confirmedRounds, read };
}

test("reads of one turn share one request, and are served when their index is applied", () => {
  const { reads, asked, read } = setup();
  const first = read();
  const second = read();
  reads.start(0);
  expect(asked).toHaveLength(1);
  reads.confirm(asked[0], 5);
  reads.release(4);
  expect(first.outcome).toBeUndefined();
  reads.release(5);
  expect([first.outcome, second.outcome]).toEqual(["served", "served"]);
});

test("a read that comes while a request is under way is not served by its answer", () => {
  const { reads, asked, read } = setup();
  const early = read();
  reads.start(0);
  const late = read();
  reads.start(0);
  expect(asked).toHaveLength(1);
  reads.confirm(asked[0], 1);
  reads.release(1);
  expect([early.outcome, late.outcome]).toEqual(["served", undefined]);
  reads.start(1);
  reads.confirm(asked[1], 2);
  reads.release(2);
  expect(late.outcome).toBe("served");
});

test("a request without answer is asked again under a new id, and any of its answers counts", () => {
  const { reads, asked, confirmedRounds, read } = setup();
  const state = read();
  reads.start(0);
  reads.tick(499);
  expect(asked).toHaveLength(1);
  reads.tick(500);
  expect(asked).toHaveLength(2);
  expect(asked[0]).not.toEqual(asked[1]);
  reads.confirm(asked[0], 3);
  reads.release(3);
  expect(state.outcome).toBe("served");
  reads.confirm(asked[1], 9);
  expect(reads.slow).toBe(1);
  // It proves that this member led when it was asked first, and no more.
  expect(confirmedRounds).toEqual([1]);
});

test("a read ends with a reason when it takes too long, the leader changes or the member stops", () => {
  const { reads, read } = setup();
  const tooLong = read();
  reads.start(0);
  reads.tick(7_000);
  expect(tooLong.outcome).toBe("timeout");
  const changed = read();
  reads.start(7_000);
  reads.leaderChanged();
  expect(changed.outcome).toBe("leaderChanged");
  const attempted = read();
  reads.start(7_001);
  const waiting = read();
  reads.failAll("stopped");
  expect([attempted.outcome, waiting.outcome]).toEqual(["stopped", "stopped"]);
  expect(reads.failed).toBe(3);
});

test("an unknown answer serves nobody", () => {
  const { reads, read } = setup();
  const state = read();
  reads.start(0);
  reads.confirm(new Uint8Array(8), 100);
  reads.release(100);
  expect(state.outcome).toBeUndefined();
});
