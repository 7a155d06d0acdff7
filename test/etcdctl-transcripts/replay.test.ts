/**
 * Our etcdctl prints what etcdctl 3.6.14 printed, command for command, in every format.
 *
 * The recordings (test/fixtures/transcripts/etcdctl/*.jsonl.gz) hold the commands of the 3.5 transcripts with the
 * answers of Go's etcdctl 3.6.14 to Go's etcd 3.6.14. Environment:
 *
 *   QUORATE_TEST_ETCD       server to run against; default bin/etcd, when dist is built
 *   QUORATE_TEST_ETCDCTL, QUORATE_TEST_ETCDUTL   command lines to test; default ours
 *   QUORATE_TEST_SCENES     comma separated scenes; default all
 *   QUORATE_TEST_RECORD     folder of transcripts: writes the recordings anew from what the programs above answer
 */
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { comparable } from "./normalize.ts";
import { replay, type PlayedStep, type Programs } from "./replay.ts";
import { readTranscript, type Step, type Transcript } from "./transcript.ts";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const fixtures = join(root, "test/fixtures/transcripts/etcdctl");
const recordFrom = process.env["QUORATE_TEST_RECORD"];

const programs: Programs = {
  etcd: process.env["QUORATE_TEST_ETCD"] ?? join(root, "bin/etcd"),
  etcdctl: process.env["QUORATE_TEST_ETCDCTL"] ?? join(root, "bin/etcdctl"),
  etcdutl: process.env["QUORATE_TEST_ETCDUTL"] ?? join(root, "bin/etcdutl"),
};

const scenes = [
  "kv",
  "txn",
  "watch",
  "lease",
  "lease-empty",
  "lock-elect",
  "endpoint-maintenance",
  "member",
  "cluster3",
  "mirror",
  "etcdutl",
  "general",
  "auth",
];

/** Longest scene: its commands wait some thirty seconds in all, more on a slow machine. */
const sceneTimeoutMs = 300_000;

/** A program of ours needs its part of dist. */
const canRun =
  (process.env["QUORATE_TEST_ETCD"] !== undefined || existsSync(join(root, "dist/cli/etcd/main.js"))) &&
  (process.env["QUORATE_TEST_ETCDCTL"] !== undefined || existsSync(join(root, "dist/tools/etcdctl.cjs")));

const wantedScenes = process.env["QUORATE_TEST_SCENES"]?.split(",") ?? scenes;

if (recordFrom !== undefined) {
  test.each(wantedScenes)("records %s", { timeout: sceneTimeoutMs }, async (name) => {
    const transcript = readTranscript(join(recordFrom, `${name}.jsonl`));
    writeRecording(join(fixtures, `${name}.jsonl.gz`), transcript, await replay(transcript, programs, isPlayed));
  });
} else {
  describe.skipIf(!canRun)("etcdctl (skipped unless dist is built, see the head of this file)", () => {
    test.each(wantedScenes)("prints what etcdctl 3.6 prints: %s", { timeout: sceneTimeoutMs }, async (name) => {
      const transcript = readTranscript(join(fixtures, `${name}.jsonl.gz`));
      for (const { step, observed, variables } of await replay(transcript, programs, isPlayed)) {
        const label = `step ${step.n}: ${(step.argv ?? []).join(" ")}`;
        const ours = comparable(step, observed, variables);
        const theirs = comparable(step, step, recordedVariables(transcript, step));
        if (isKnownDifference(step)) expect(ours.exit, label).toBe(theirs.exit);
        else expect({ label, ...ours }).toEqual({ label, ...theirs });
      }
    });
  });
}

test("there is a recording of every scene", () => {
  const names = readdirSync(fixtures).filter((name) => name.endsWith(".jsonl.gz"));
  expect(names.map((name) => name.replace(".jsonl.gz", "")).sort()).toEqual([...scenes].sort());
});

/** The scripts of `completion` are our own. */
function isPlayed({ argv = [] }: Step): boolean {
  return !/^completion (bash|zsh|fish|powershell)$/.test(argv.join(" "));
}

/**
 * Where we mean to differ: Go panics on two kinds of comparison and we say what is wrong; a TLS endpoint is refused at
 * once.
 */
function isKnownDifference({ argv = [], exit, stderr, stdin }: Step): boolean {
  if (argv[0] === "txn" && exit === 2) return /^lease\(| ~ /.test(stdin ?? "");
  // Go's asks for a password through stty, which complains on standard error when there is no terminal.
  if ((stderr ?? "").startsWith("stty: ")) return true;
  return argv.some((argument) => argument.includes("https://"));
}

/** Captured values as they were when the recording was made: what the steps up to `last` captured from their output. */
function recordedVariables({ scene, steps }: Transcript, last: Step): Map<string, string> {
  const variables = new Map(Object.entries(scene.member_ids));
  for (const step of steps) {
    if (step.n > last.n) break;
    for (const [name, pattern] of Object.entries(step.capture ?? {})) {
      // What a command in the background had printed is recorded where it ends.
      const printing = step.bg === undefined ? step : steps.find(({ kind, bg }) => kind === "bg-end" && bg === step.bg);
      const value = new RegExp(pattern).exec(printing?.stdout ?? "")?.[1];
      if (value === undefined) continue;
      variables.set(name, value);
      if (/^[0-9a-f]{10,16}$/.test(value)) variables.set(`${name}(decimal)`, String(BigInt(`0x${value}`)));
    }
  }
  return variables;
}

function writeRecording(path: string, { scene }: Transcript, played: readonly PlayedStep[]): void {
  const lines = [{ ...scene, etcd: "3.6.14" }, ...played.map(({ step, observed }) => recordedStep(step, observed))];
  writeFileSync(path, gzipSync(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), { level: 9 }));
}

/** The step's own words with this run's answer; log lines say nothing and differ every time. */
function recordedStep(step: Step, observed: PlayedStep["observed"]): object {
  const { exit: _exit, stdout: _stdout, stdout_b64: _base64, stderr: _stderr, ...plan } = step;
  const { stderr = "", ...answer } = observed;
  const withoutLogs = stderr.replace(/^\{"level":.*\n/gm, "");
  return { ...plan, ...answer, ...(observed.stderr === undefined ? {} : { stderr: withoutLogs }) };
}
