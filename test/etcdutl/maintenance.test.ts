/** `etcdutl defrag`, `migrate`, `version` and `hashkv` on recorded data directories; words are those of Go's etcdutl 3.6. */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { parseTarget } from "../../src/cli/etcdutl/migrate.ts";
import { fixtureText, removeDirectory, temporaryDirectory, unpackFixture } from "../support/fixture.ts";
import { startReadyMember } from "../support/member.ts";
import { bucketFacts } from "./offline.ts";
import { comparableLog, run } from "./run.ts";

let work: string;
let dataDir: string;
beforeEach(() => {
  work = temporaryDirectory();
  dataDir = join(work, "data");
});
afterEach(() => removeDirectory(work));

function unpack(name: string): string {
  unpackFixture(`data-dirs/${name}/data.tar.gz`, work);
  return join(dataDir, "member/snap/db");
}

const etcdutl = async (...args: string[]): Promise<{ exit: number; stderr: string }> => {
  const { exit, stderr } = await run([...args, `--data-dir=${dataDir}`]);
  return { exit, stderr: comparableLog(stderr, work) };
};

test("defrag makes the file smaller and keeps every row", async () => {
  const database = unpack("random-compacted");
  const before = { rows: bucketFacts(database), size: statSync(database).size };
  const { exit, stderr } = await etcdutl("defrag");
  expect(exit).toBe(0);
  expect(stderr).toMatch(/^<TS>\tinfo\t<CALLER>\tdefragmenting\t.*\n<TS>\tinfo\t<CALLER>\tfinished defragmenting/);
  expect(bucketFacts(database)).toEqual(before.rows);
  expect(statSync(database).size).toBeLessThanOrEqual(before.size);
  expect(readdirSync(join(dataDir, "member/snap")).filter((name) => name.includes("tmp"))).toEqual([]);
});

test("defrag says what is missing", async () => {
  expect(await etcdutl("defrag")).toEqual({
    exit: 1,
    stderr:
      "Error: Failed to defragment etcd data[${WORK}/data] (stat ${WORK}/data/member/snap/db: no such file or directory)\n",
  });
  expect((await run(["defrag"])).stderr).toContain('Error: required flag(s) "data-dir" not set\n');
});

test("migrate goes from 3.5 to 3.6 and back, row for row", async () => {
  const database = unpack("random-compacted");
  const original = bucketFacts(database);
  const line = (level: string, text: string): string => `<TS>\t${level}\t<CALLER>\t${text}\n`;
  expect(await etcdutl("migrate", "--target-version=3.5")).toEqual({
    exit: 0,
    stderr: line("info", 'storage version up-to-date\t{"storage-version": "3.5"}'),
  });
  expect(await etcdutl("migrate", "--target-version=3.6")).toEqual({
    exit: 0,
    stderr: line("info", 'updated storage version\t{"new-storage-version": "3.6.0"}'),
  });
  expect(bucketFacts(database)["meta"].keys).toBe(original["meta"].keys + 1);
  // A member of ours takes it as it is, and the way back leads to the same rows.
  await (await startReadyMember({ dataDir })).stop();
  unpack("random-compacted");
  expect((await etcdutl("migrate", "--target-version=3.6")).exit).toBe(0);
  expect(await etcdutl("migrate", "--target-version=3.5")).toEqual({
    exit: 0,
    stderr: line("info", 'updated storage version\t{"new-storage-version": "3.5.0"}'),
  });
  expect(bucketFacts(database)).toEqual(original);
});

test("migrate refuses versions that it does not know, unless forced", async () => {
  const database = unpack("random-compacted");
  const refused = await etcdutl("migrate", "--target-version=3.7");
  expect(refused).toEqual({
    exit: 1,
    stderr: 'Error: cannot create migration plan: version "3.7.0" is not supported\n',
  });
  const forced = await etcdutl("migrate", "--target-version=3.7", "--force");
  expect(forced.exit).toBe(0);
  expect(forced.stderr).toContain('forcefully set storage version\t{"storage-version": "3.7"}');
  expect((await run(["snapshot", "status", database, "-w", "json"])).stdout).toContain('"version":"3.7.0"');
  expect((await etcdutl("migrate", "--target-version=3.5")).stderr).toContain('version "3.7.0" is not supported');
  expect((await etcdutl("migrate", "--target-version=3.5", "--force")).stderr).toContain(
    "forcefully cleared storage version",
  );
});

test.each([
  ["3", 'wrong target version format, expected "X.Y", got "3"'],
  ["3.6.0", 'wrong target version format, expected "X.Y", got "3.6.0"'],
  ["a.b", 'failed to parse target version: strconv.ParseInt: parsing "a": invalid syntax'],
  ["3.4", 'target version "3.4" not supported. Minimal "3.5"'],
])("a target of %s is no version to migrate to", (target, reason) => {
  expect(() => parseTarget(target)).toThrow(reason);
});

interface Recorded {
  readonly expect: {
    readonly outcome: string;
    readonly shows?: { readonly hashkv: readonly { revision: number; hash?: number; compact_revision?: string }[] };
  };
}

/** Their databases hold everything that the member showed: all were committed at a graceful stop. */
const stopped = ["random-2000", "random-compacted", "wal-segments", "many-leases", "member-churn", "with-learner"];

// Go's etcdutl 3.6 panics on a database with leases attached to keys ("no lessor to attach lease").
test.each(stopped)("hashkv gives what the HashKV of the member gave: %s", async (name) => {
  const database = unpack(name);
  const recorded = JSON.parse(fixtureText(`data-dirs/${name}/expected.json`)) as Recorded;
  for (const { revision, hash, compact_revision: compactRevision } of recorded.expect.shows!.hashkv) {
    const { exit, stdout, stderr } = await run(["hashkv", database, `--rev=${revision}`, "-w", "json"]);
    if (hash === undefined) {
      expect(exit).toBe(1);
      expect(stderr).toMatch(/^Error: mvcc: required revision (has been compacted|is a future revision)\n$/);
    } else expect(JSON.parse(stdout)).toMatchObject({ hash, compactRevision: Number(compactRevision) });
  }
});
