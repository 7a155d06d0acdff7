/** What a shell sees of `bin/etcd` before it serves: versions, help, mistakes in flags and environment, and the exit codes. */
import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";

let folder: string;

beforeAll(() => {
  folder = temporaryFolder();
});

afterAll(() => removeFolder(folder));

describe("programs that say what they are", () => {
  test.each(["etcd", "etcdctl", "etcdutl", "quorate"] as const)("bin/%s works from anywhere, by symlink", (name) => {
    const link = join(folder, `link-to-${name}`);
    symlinkSync(program(name), link);
    // A working directory that nobody can write to, and no environment but PATH.
    const { code, stdout, stderr } = runToEnd(link, ["--help"], { cwd: "/proc" });
    expect(code).toBe(0);
    expect(stdout + stderr).toMatch(/usage/i);
  });

  test("etcd --version prints four lines that scripts read", () => {
    const { code, stdout, stderr } = runToEnd(program("etcd"), ["--version"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^etcd Version: 3\.6\.\d+\nGit SHA: \S+\nGo Version: \S+\nGo OS\/Arch: linux\/\w+\n$/);
  });

  test("etcd --help has the usage on stderr and every flag on stdout", () => {
    const { code, stdout, stderr } = runToEnd(program("etcd"), ["--help"]);
    expect(code).toBe(0);
    expect(stderr).toContain("etcd [flags]");
    for (const flag of ["--data-dir", "--snapshot-count", "--listen-metrics-urls", "--feature-gates"]) {
      expect(stdout).toContain(flag);
    }
  });
});

describe("mistakes in flags: told on stderr with the usage, exit code 2", () => {
  test.each([
    [["--bogus"], "flag provided but not defined: -bogus"],
    [["--name"], "flag needs an argument: -name"],
    [["--pre-vote=x"], 'invalid boolean value "x" for -pre-vote: parse error'],
    [["--initial-cluster-state=foo"], 'invalid value "foo" for flag -initial-cluster-state: invalid value'],
    [
      ["--listen-client-urls=x"],
      'invalid value "x" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: x',
    ],
    [["--listen-client-urls=http://127.0.0.1"], 'URL address does not have the form "host:port": http://127.0.0.1'],
    [["--listen-client-urls=http://127.0.0.1:1/a"], "URL must not contain a path: http://127.0.0.1:1/a"],
    [["--feature-gates=Bogus=true"], "unrecognized feature gate: Bogus"],
  ])("%j", (args, text) => {
    const { code, stderr } = runToEnd(program("etcd"), args, { cwd: "/proc" });
    expect(code).toBe(2);
    expect(stderr).toContain(text);
    expect(stderr).toContain("Usage:");
  });
});

describe("settings that cannot be: one JSON line says why, exit code 1, nothing is written", () => {
  const verify = "failed to verify flags";
  const start = "discovery failed";
  test.each<[readonly string[], string, string]>([
    [["foo"], verify, '"foo" is not a valid flag'],
    [["--election-timeout=400"], verify, "--election-timeout[400ms] should be at least as 5 times"],
    [["--heartbeat-interval=0"], verify, "--heartbeat-interval must be >0 (set to 0ms)"],
    [["--config-file=/nonexistent"], verify, "open /nonexistent: no such file or directory"],
    [["--auto-compaction-mode=x"], verify, 'unknown auto-compaction-mode "x"'],
    [["--auto-compaction-retention=zz"], start, 'error parsing CompactionRetention: time: invalid duration "zz"'],
    [["--listen-client-urls=http://foo:2379"], verify, "expected IP in URL for binding (http://foo:2379)"],
    [["--name=q", "--initial-cluster=p=http://127.0.0.1:0"], start, `couldn't find local name "q"`],
    [
      ["--initial-cluster=default=127.0.0.1:0"],
      start,
      "error setting up initial cluster: URL scheme must be http, https, unix, or unixs: 127.0.0.1:0",
    ],
  ])("%j", (args, message, text) => {
    const dataDir = join(folder, "never");
    const free = ["--listen-peer-urls=http://127.0.0.1:0", "--listen-client-urls=http://127.0.0.1:0"];
    const advertised = [
      "--advertise-client-urls=http://127.0.0.1:1",
      "--initial-advertise-peer-urls=http://127.0.0.1:0",
    ];
    const { code, stderr } = runToEnd(program("etcd"), [`--data-dir=${dataDir}`, ...free, ...advertised, ...args]);
    expect(code).toBe(1);
    const lines = stderr
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(
      expect.objectContaining({ msg: message, error: expect.stringContaining(text) as string }),
    );
  });

  test("a flag and its environment variable at once", () => {
    const { code, stderr } = runToEnd(program("etcd"), ["--name=a"], { env: { ETCD_NAME: "b" } });
    expect(code).toBe(1);
    expect(stderr).toContain("conflicting environment variable is shadowed by corresponding command-line flag");
    expect(stderr).toContain('"environment-variable":"ETCD_NAME"');
  });

  test("a value in the environment that is none", () => {
    const { code, stderr } = runToEnd(program("etcd"), [], { env: { ETCD_PRE_VOTE: "x" } });
    expect(code).toBe(1);
    expect(stderr).toContain('invalid value \\"x\\" for ETCD_PRE_VOTE: parse error');
  });
});

test("flags come in three spellings, the last one counts, old names are accepted with a warning", async () => {
  const server = await ServerProcess.start({
    dataDir: join(folder, "spellings"),
    args: ["-snapshot-count", "7", "--snapshot-count=77", "--experimental-compaction-batch-limit=500"],
    env: { ETCD_MAX_WALS: "9", ETCD_BOGUS: "1" },
  });
  const started = server.lines.find((line) => line.includes('"msg":"starting an etcd server"')) ?? "{}";
  expect(JSON.parse(started)).toMatchObject({ "snapshot-count": 77, "max-wals": 9 });
  const log = server.lines.join("\n");
  expect(log).toContain("--experimental-compaction-batch-limit is deprecated in v3.6");
  expect(log).toContain('"msg":"recognized and used environment variable","variable-name":"ETCD_MAX_WALS"');
  expect(log).toContain('"msg":"unrecognized environment variable","environment-variable":"ETCD_BOGUS=1"');
  expect(await server.stop()).toBe(0);
});
