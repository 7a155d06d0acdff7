/**
 * The gRPC port answers what etcd answers, call for call (test/fixtures/transcripts/grpc/*.jsonl.gz, recorded from etcd
 * 3.5.30; what 3.6 answers otherwise is in differences.ts).
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root } from "../support/process.ts";
import { replay } from "./replay.ts";
import { readTranscript } from "./transcript.ts";

const fixtures = join(root, "test/fixtures/transcripts/grpc");
/** Scenes wait for leases and restarts, some twenty seconds in all; more on a slow machine. */
const sceneTimeoutMs = 300_000;

const scenes = readdirSync(fixtures)
  .filter((name) => name.endsWith(".jsonl.gz"))
  .map((name) => name.replace(".jsonl.gz", ""));

test.each(scenes)("answers as etcd does: %s", { timeout: sceneTimeoutMs }, async (name) => {
  const mismatches = await replay(readTranscript(join(fixtures, `${name}.jsonl.gz`)));
  expect(mismatches).toEqual([]);
});

/** Scenes that were recorded. */
const recordedCount = 21;

test("every scene runs", () => {
  expect(scenes.length).toBe(recordedCount);
});
