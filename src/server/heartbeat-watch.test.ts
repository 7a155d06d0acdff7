import { expect, test } from "vitest";
import { createMessage, MessageType } from "../wire/raft/types.ts";
import { createStderrLogger } from "../platform/node/stderr-logger.ts";
import { HeartbeatWatch } from "./heartbeat-watch.ts";

const beat = (to: bigint) => createMessage(MessageType.Heartbeat, to);

test("a heartbeat later than two intervals after the last to the same member is warned of and counted", () => {
  const lines: Record<string, unknown>[] = [];
  const log = createStderrLogger("warn", (line) => void lines.push(JSON.parse(line) as Record<string, unknown>));
  const watch = new HeartbeatWatch(100, log);
  watch.sending([beat(0xan), beat(0xbn)], 0);
  watch.sending([createMessage(MessageType.App, 0xan), beat(0xan)], 200);
  expect(watch.late).toBe(0);
  watch.sending([beat(0xan), beat(0xbn)], 350);
  expect(watch.late).toBe(1);
  expect(watch.longestGapMs).toBe(350);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({
    msg: "leader failed to send out heartbeat on time; took too long, leader is overloaded likely from slow disk",
    to: "b",
    "heartbeat-interval": "100ms",
    "expected-duration": "200ms",
    "exceeded-duration": "150ms",
  });
});

test("what was before a change of leadership does not count", () => {
  const watch = new HeartbeatWatch(100, createStderrLogger("fatal"));
  watch.sending([beat(1n)], 0);
  watch.reset();
  watch.sending([beat(1n)], 10_000);
  expect(watch.late).toBe(0);
});
