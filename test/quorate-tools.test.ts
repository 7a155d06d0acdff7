/** `quorate backup` and `quorate defrag` against a built member. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Decrypter, generateX25519Identity, identityToRecipient } from "age-encryption";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Finished, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "./support/process.ts";

let folder: string;
let server: ServerProcess;

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: join(folder, "data") });
  for (const key of ["a", "b", "c"]) {
    expect(run("etcdctl", "put", key, "x".repeat(5000)).code).toBe(0);
  }
});

afterAll(async () => {
  await server.stop();
  removeFolder(folder);
});

function run(name: "etcdctl" | "quorate" | "etcdutl", ...args: string[]): Finished {
  const env = name === "etcdutl" ? {} : { ETCDCTL_ENDPOINTS: server.endpoint };
  return runToEnd(program(name), args, { env, cwd: folder });
}

test("a backup is verified, listed, and as good as a snapshot", () => {
  const saved = run("quorate", "backup", "save", "--dir=plain");
  expect(saved.code, saved.stderr).toBe(0);
  expect(saved.stdout).toMatch(
    /^Saved etcd-\S+-r4\.db \(.*not encrypted\)\nVerified: a restored copy has HashKV \d+ at/,
  );
  const [name] = readdirSync(join(folder, "plain"));
  expect(run("quorate", "backup", "list", "--dir=plain").stdout).toMatch(new RegExp(`^${name}, 4, .*, false, 20`));
  const restored = run("etcdutl", "snapshot", "restore", join("plain", name), "--data-dir=restored");
  expect(restored.code, restored.stderr).toBe(0);
});

test("a member that was compacted up to its last revision and is idle since can be backed up", () => {
  expect(run("etcdctl", "compaction", "--physical", "4").code).toBe(0);
  const saved = run("quorate", "backup", "save", "--dir=compacted");
  expect(saved.code, saved.stderr).toBe(0);
  expect(saved.stdout).toContain("at revision 4, as the member");
});

test("an encrypted backup leaves nothing in the clear, and its identity opens it", async () => {
  const identity = await generateX25519Identity();
  const recipient = await identityToRecipient(identity);
  writeFileSync(join(folder, "recipients.txt"), `# operators\n${recipient}\n`);
  for (let round = 0; round < 2; round++) {
    const saved = run("quorate", "backup", "save", "--dir=sealed", "--recipients-file=recipients.txt", "--keep=1");
    expect(saved.code, saved.stderr).toBe(0);
    // A write in between gives the second one another name, even within one second.
    run("etcdctl", "put", "a", String(round));
  }
  const names = readdirSync(join(folder, "sealed"));
  expect(names).toEqual([expect.stringMatching(/\.db\.age$/), expect.stringMatching(/\.db\.age\.json$/)]);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  const plain = await decrypter.decrypt(readFileSync(join(folder, "sealed", names[0])));
  writeFileSync(join(folder, "opened.db"), plain);
  const status = run("etcdutl", "snapshot", "status", "opened.db", "-w", "json");
  expect(JSON.parse(status.stdout)).toMatchObject({ revision: 5, totalKey: 3 });
});

test("a wrong recipient or an empty list of them saves nothing, rather than something in the clear", () => {
  writeFileSync(join(folder, "empty.txt"), "# nobody\n");
  expect(run("quorate", "backup", "save", "--dir=none", "--recipients-file=empty.txt").code).toBe(128);
  const wrong = run("quorate", "backup", "save", "--dir=none", "--recipient=age1nonsense");
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toContain('"age1nonsense" is not an age recipient');
  expect(existsSync(join(folder, "none"))).toBe(false);
});

test("defrag follows its rule, and a dry run does nothing", () => {
  const skipped = run("quorate", "defrag", "--cluster", "--defrag-rule=dbQuotaUsage > 0.8");
  expect(skipped.code, skipped.stderr).toBe(0);
  expect(skipped.stdout).toContain(`Evaluation result is false, so skipping endpoint: ${server.endpoint}\n`);
  const dry = run("quorate", "defrag", "--defrag-rule=dbSize > 0", "--dry-run");
  expect(dry.stdout).toContain(`[Dry run] Defragmenting endpoint: ${server.endpoint}\n`);
  expect(dry.stdout).not.toContain("Finished");
  const done = run("quorate", "defrag", "--defrag-rule=dbSize > 0");
  expect(done.stdout).toMatch(
    /Finished defragmenting etcd member\[.*\]\. took .*\nendpoint: .*\nThe defragmentation is successful\.\n$/,
  );
  const wrong = run("quorate", "defrag", "--defrag-rule=dbSize");
  expect(wrong).toMatchObject({ code: 128, stderr: 'Error: the rule "dbSize" is a number, not true or false\n' });
});

test("preflight asks for a backup, and says what it found", () => {
  const without = run("quorate", "preflight");
  expect(without).toMatchObject({ code: 1, stderr: "Error: 1 check(s) failed: do not go on\n" });
  expect(without.stdout).toContain(
    "FAIL  no backup is known: make one (quorate backup save), and name its directory in --dir\n",
  );
  expect(run("quorate", "preflight", "--dir=empty").stdout).toContain(
    "FAIL  empty holds no verified backup of this cluster",
  );
  expect(run("quorate", "backup", "save", "--dir=before").code).toBe(0);
  const ready = run("quorate", "preflight", "--dir=before", "--downgrade-to=3.5");
  expect(ready.code, ready.stdout).toBe(0);
  expect(ready.stdout.split("\n")).toEqual([
    "ok    no alarms",
    "warn  1 member(s): the cluster stands still while one is down",
    `ok    ${server.endpoint} serves; version 3.6.14, storage 3.6.0`,
    expect.stringMatching(/^ok {4}all follow the leader [0-9a-f]+$/),
    expect.stringMatching(/^ok {4}the newest verified backup, etcd-\S+\.db, is \S+ old$/),
    "ok    the cluster, at 3.6, can be downgraded to 3.5",
    "",
  ]);
  const strict = run("quorate", "preflight", "--dir=before", "--max-backup-age=-1s", "--downgrade-to=3.3");
  expect(strict.stdout).toMatch(/^FAIL {2}the newest verified backup, .* old, more than -1s$/m);
  expect(strict.stdout).toMatch(
    /^FAIL {2}the cluster cannot be downgraded to 3\.3: etcdserver: invalid downgrade target/m,
  );
  const down = run("quorate", "preflight", "--dir=before", "--endpoints=127.0.0.1:1", "--command-timeout=300ms");
  expect(down.code).toBe(1);
});
