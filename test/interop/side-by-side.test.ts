/**
 * Go's etcdctl 3.6 and ours, one beside the other on one member of ours: every command in every format, and what goes wrong in
 * every way. Both print the same to both outputs and end with the same code. Nothing here changes what the member holds; commands
 * that do are compared by the recorded sessions (test/etcdctl-transcripts).
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Finished,
  patienceMs,
  program,
  removeFolder,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";
import { spawn } from "node:child_process";
import { goEtcd, theGoEtcd, titleFor } from "./go-etcd.ts";

const formats = ["simple", "json", "fields", "table", "protobuf", "unknown"];

/** Commands that answer in all formats, with and without `--hex`. */
const printed = [
  "get / --prefix",
  "get /a",
  "get none",
  "get / --prefix --keys-only",
  "get /a --print-value-only",
  "get /a --count-only",
  "del none",
  "lease timetolive LEASE",
  "lease timetolive 1234",
  "lease keep-alive 1234 --once",
  "lease keep-alive LEASE --once",
  "lease revoke 1234",
  "member list",
  "endpoint hashkv",
  "alarm list",
  "role list",
  "role get r1",
  "user list",
  "user get u1",
  "user get u1 --detail",
  "auth status",
  "downgrade validate 3.5",
  "version",
];

/** One line each; `''` is an empty argument. */
const single = `
get /a /z --order=ASCEND --sort-by=CREATE --limit=3
get /a /z --order=descend --sort-by=VALUE
get /a /z --order=DESCEND --sort-by=VERSION
get /a --order=UP --sort-by=NOTHING
get /a --sort-by=version
get --from-key /c
get '' --prefix --limit=2 -w fields
get '' --from-key --keys-only
get /a --prefix --from-key
get /a --keys-only --count-only
get /a /b --prefix
get
get a b c
get /a --rev=1
get /a --rev=3
get /a --rev=1000000
get /a --rev=-1
get /a --rev=x
get /a --consistency=s
get /a --consistency=x
get / --prefix --keys-only --min-create-rev=4
get / --prefix --keys-only --max-mod-rev=4
get /a --min-create-rev=5 --max-create-rev=3
get /a --min-mod-rev=5 --max-mod-rev=3
get /a -w
get /a --limit
get /a --limit=x
get /a --prefix=x
get /a -wjson
get /a --dial-timeout=x
get /a --command-timeout=1ns
get /a --command-timeout=5
get /a --user=u1:wrong
get /a --cert=
get /a --cert=/nope
get /a --cert=/nope --key=/nope
get /a --cacert=/nope
get /a --max-recv-bytes=10
get /a --discovery-srv=nope.invalid
get ''
put
put a b c
put a --ignore-value b
put none --ignore-value
put none x --ignore-lease
put a x --lease=zz
put a x --lease=1234
put a x --lease=0x12
put a x --lease=12345678901234567890
put -k v
put '' x
put a 12345678901234567890123 --max-request-bytes=10
del
del a b c
del a b --prefix
del a --prefix --from-key
del none none2 --range
compaction
compaction abc
compaction 1 2
compaction 1000000
compaction -- -1
lease grant
lease grant abc
lease grant 1 2
lease grant 99999999999
lease revoke
lease revoke zz
lease timetolive zz
lease timetolive
lease keep-alive zz
lease bogus
member list --consistency=s
member add
member add x
member add x --peer-urls=bad
member add x --peer-urls=http://1.2.3.4
member add x y z
member remove
member remove zz
member remove 12
member update zz --peer-urls=http://1.1.1.1:1
member promote 12
move-leader
move-leader zz
move-leader 12
endpoint hashkv --rev 3
endpoint hashkv --rev 1000000
endpoint bogus
alarm bogus
alarm disarm
defrag --data-dir=x
downgrade
downgrade validate
downgrade validate 3.4
downgrade validate bogus
downgrade validate 3.5.1
downgrade enable 3.4
downgrade cancel
snapshot
snapshot save
snapshot save a b
snapshot save /nonexistent/x
snapshot save FOLDER/x --command-timeout=1ns
role add
role add r1
role get nope
role grant-permission r1 bad k
role grant-permission r1 read m k
role grant-permission r1 read k m --prefix
role grant-permission r1 read k --prefix --from-key
role revoke-permission r1 none
role delete nope
user add u1:pw
user add
user get nope
user grant-role u1 nope
user revoke-role u1 r2
user delete nope
user passwd
auth bogus
lock
lock a --ttl x
lock l -- sh -c false
lock l --ttl=0 -- echo held
elect
elect e1
elect a b c
make-mirror
make-mirror a b
make-mirror x --dest-prefix=a --no-dest-prefix
check
check perf --load=bogus
watch
watch --
watch a --
watch a b --prefix
watch a --rev=x
bogus
get --bogus
memb list
snap
help bogus
completion ksh
txn extra
`
  .trim()
  .split("\n");

const transactions = [
  "",
  "\n\n\n",
  "bad\n\n\n\n",
  'val("/a"\n\n',
  'ver("/a") = x\n\n\n\n',
  'xx("/a") = "x"\n\n\n\n',
  "\nput a\n\n\n",
  "\nbogus a b\n\n\n",
  "\nget a b --prefix\n\n\n",
  "\nput a 1\nput a 2\n\n\n",
  "\nput a b --lease=1234\n\n\n",
  "\nget / --prefix\nget none\ndel none\n\n\n",
  'mod("/a") > "0"\nver("/b") = "1"\n\nget /a\n\nget /b\n\n',
  'val("/a") = "x"\r\n\r\nget /a\r\n\r\nget /b\r\n\r\n',
];

const variables: readonly (readonly [line: string, env: Record<string, string>])[] = [
  ["get /a", { ETCDCTL_WRITE_OUT: "json" }],
  ["get /a -w json", { ETCDCTL_WRITE_OUT: "json" }],
  ["get /a", { ETCDCTL_UNKNOWN: "1" }],
  ["get /", { ETCDCTL_PREFIX: "true", ETCDCTL_LIMIT: "1" }],
  ["get /a", { ETCDCTL_LIMIT: "x" }],
  ["get /a", { ETCDCTL_COMMAND_TIMEOUT: "x" }],
  ["get /a", { ETCDCTL_USER: "u1:wrong" }],
  ["get /a", { ETCDCTL_CACERT: "/nope" }],
  ["version", { ETCDCTL_UNKNOWN: "1" }],
  ["watch", { ETCDCTL_WATCH_RANGE_END: "x" }],
  ["watch a", { ETCDCTL_WATCH_KEY: "a" }],
];

interface Comparison {
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
  readonly input?: string;
}

/** Processes at a time: most of what one takes is its start. */
const atOnce = 4;

const suite = titleFor("3.6", "its etcdctl beside ours");
describe.skipIf(goEtcd("3.6") === undefined)(suite, { timeout: 4 * patienceMs }, () => {
  let folder: string;
  let member: ServerProcess;
  let lease: string;

  beforeAll(async () => {
    folder = temporaryFolder();
    mkdirSync(join(folder, "files"));
    member = await ServerProcess.start({ dataDir: join(folder, "data") });
    const ours = (...args: string[]): string => {
      const { code, stdout, stderr } = runToEnd(program("etcdctl"), [`--endpoints=${member.endpoint}`, ...args]);
      expect(code, stderr).toBe(0);
      return stdout;
    };
    lease = /[0-9a-f]{16}/.exec(ours("lease", "grant", "10000"))![0];
    for (const [key, value] of [
      ["/a", "x"],
      ["/b", 'quotes " and \\ <&>'],
      ["/c", "\u00ff \u2028 \u{1f600}\t"],
      ["/d", ""],
      ["/a", "y"],
      ["/e\u0001", "control"],
    ]) {
      ours("put", key, "--", value);
    }
    ours("put", "/leased", "1", `--lease=${lease}`);
    ours("role", "add", "r1");
    ours("role", "grant-permission", "r1", "readwrite", "/a", "/c");
    ours("role", "grant-permission", "r1", "read", "/x", "--prefix");
    ours("role", "add", "r2");
    ours("user", "add", "u1:pw");
    ours("user", "grant-role", "u1", "r1");
  });

  afterAll(async () => {
    await member.kill();
    removeFolder(folder);
  });

  function words(line: string): string[] {
    const parts = line.split(" ").map((word) => (word === "''" ? "" : word));
    return parts.map((word) => word.replace("LEASE", lease).replace("FOLDER", join(folder, "files")));
  }

  async function expectEqual(comparisons: readonly Comparison[]): Promise<void> {
    const rest = [...comparisons];
    const differing: unknown[] = [];
    const work = async (): Promise<void> => {
      for (let next = rest.shift(); next !== undefined; next = rest.shift()) {
        const theirs = await printedBy(theGoEtcd("3.6").etcdctl, next);
        const ours = await printedBy(program("etcdctl"), next);
        if (JSON.stringify(ours) !== JSON.stringify(theirs)) differing.push({ ...next, theirs, ours });
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    expect(differing).toEqual([]);
  }

  async function printedBy(command: string, { args, env = {}, input = "" }: Comparison): Promise<Finished> {
    const child = spawn(command, [`--endpoints=${member.endpoint}`, ...args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      cwd: join(folder, "files"),
      timeout: patienceMs,
    });
    const [stdout, stderr]: Buffer[][] = [[], []];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    child.stdin.on("error", () => undefined); // it reads nothing
    child.stdin.end(input);
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    const text = (chunks: Buffer[]): string => comparable(Buffer.concat(chunks).toString("latin1"));
    return { code, stdout: text(stdout), stderr: text(stderr) };
  }

  test.each(printed)("%s, in every format", async (line) => {
    const comparisons = formats.flatMap((format) => [
      { args: [...words(line), "-w", format] },
      { args: [...words(line), "-w", format, "--hex"] },
    ]);
    await expectEqual(comparisons);
  });

  test("flags, orders, limits, and everything that is refused", () =>
    expectEqual(single.map((line) => ({ args: words(line) }))));

  test("transactions, right and wrong", () =>
    expectEqual(
      transactions.flatMap((input) => formats.slice(0, 3).map((format) => ({ args: ["txn", "-w", format], input }))),
    ));

  test("settings from the environment", () =>
    expectEqual(variables.map(([line, env]) => ({ args: line.split(" "), env }))));
});

/** Times, addresses of connections and what only Go's client logs of itself are not compared. */
function comparable(text: string): string {
  return text
    .replace(/"ts":"[^"]*"/g, "")
    .replace(/"caller":"[^"]*"/g, "")
    .replace(/"peer":"[^"]*",/g, "")
    .replace(/,"stacktrace":"[^"]*"/g, "")
    .replace(/etcd-endpoints:\/\/(0x[0-9a-f]+|quorate)/g, "etcd-endpoints://")
    .replace(/"ttl":\d+|"TTL" : \d+|remaining\(\d+s\)/g, "ttl");
}
