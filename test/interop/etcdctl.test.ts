/**
 * Go's own etcdctl and etcdutl drive our member through the recorded scenes of daily work, and the same scenes beside
 * it against Go's own server of their release: command for command they print the same and end with the same code.
 *
 * Environment: QUORATE_TEST_SCENES, comma separated scenes; default all.
 */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { comparable, type Comparable } from "../etcdctl-transcripts/normalize.ts";
import { replay } from "../etcdctl-transcripts/replay.ts";
import { readTranscript, type Step } from "../etcdctl-transcripts/transcript.ts";
import { program, root } from "../support/process.ts";
import { goEtcd, releases, theGoEtcd, titleFor } from "./go-etcd.ts";

const fixtures = join(root, "test/fixtures/transcripts/etcdctl");
const everyScene = ["kv", "txn", "watch", "lease", "lease-empty", "endpoint-maintenance", "member", "general"];
const scenes = process.env["QUORATE_TEST_SCENES"]?.split(",") ?? everyScene;

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "its etcdctl against our member"), () => {
    test.each(scenes)("scene %s", async (name) => {
      const { etcd, etcdctl, etcdutl } = theGoEtcd(release);
      const transcript = readTranscript(join(fixtures, `${name}.jsonl.gz`));
      const [ours, theirs] = await Promise.all(
        [program("etcd"), etcd].map((server) => replay(transcript, { etcd: server, etcdctl, etcdutl }, isPlayed)),
      );
      const differing = ours.flatMap(({ step, observed, variables }, index) => {
        const ourAnswer = withoutServersOwn(comparable(step, observed, variables));
        const theirAnswer = withoutServersOwn(comparable(step, theirs[index].observed, theirs[index].variables));
        const label = `step ${step.n}: ${(step.argv ?? []).join(" ")}`;
        return isEqual(ourAnswer, theirAnswer) ? [] : [{ label, ours: ourAnswer, theirs: theirAnswer }];
      });
      expect(differing).toEqual([]);
    });
  });
});

/** The server's version is its own; and where Go's client panics, its stack names addresses. */
function withoutServersOwn({ exit, stdout, stderr }: Comparable): Comparable {
  return {
    exit,
    stdout: stdout.replace(/\b3\.[56]\.\d+\b/g, "<VERSION>"),
    stderr: stderr.includes("\ngoroutine ") ? "panic" : stderr,
  };
}

/** Servers that come and go, and membership that changes, belong to clusters. Usage errors (128) never reach a server. */
function isPlayed({ kind, argv = [], exit }: Step): boolean {
  if (kind === "server") return false;
  return argv[0] !== "member" || argv[1] === "list" || exit === 128;
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
