/** Passwords typed on a terminal (util-linux' `script` makes one) and read from pipes, as Go's etcdctl reads them. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
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
} from "./support/process.ts";

const hasScript = spawnSync("script", ["--version"]).error === undefined;

describe.skipIf(!hasScript)("passwords on a terminal (skipped without util-linux' script)", () => {
  let folder: string;
  let server: ServerProcess;

  beforeAll(async () => {
    folder = temporaryFolder();
    server = await ServerProcess.start({ dataDir: join(folder, "data"), args: ["--bcrypt-cost=4"] });
  }, patienceMs);

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  const etcdctl = (args: string): string => `'${program("etcdctl")}' --endpoints=${server.endpoint} ${args}`;

  /** Runs a line of shell on a terminal of its own; each answer is typed when its prompt is seen. */
  function typed(line: string, answers: readonly (readonly [prompt: string, answer: string])[]): Promise<string> {
    const child = spawn("script", ["-qec", line, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
    let seen = "";
    let from = 0;
    let next = 0;
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      seen += text;
      const answer = answers[next];
      if (answer === undefined || !seen.includes(answer[0], from)) return;
      from = seen.length;
      next++;
      child.stdin.write(answer[1]);
    });
    return new Promise((resolve) => {
      child.on("close", () => resolve(seen.replaceAll("\r", "")));
    });
  }

  test("are asked for twice and not shown", { timeout: patienceMs }, async () => {
    const seen = await typed(etcdctl("user add ann"), [
      ["Password of ann: ", "secret\n"],
      ["again for confirmation: ", "secret\n"],
    ]);
    expect(seen).toContain("User ann created");
    expect(seen).not.toContain("secret");
  });

  test("end with their line when they are not asked for", { timeout: patienceMs }, async () => {
    const seen = await typed(`echo go; ${etcdctl("user add ben --interactive=false")}`, [["go", "secret\n"]]);
    expect(seen).toContain("User ben created");
  });

  test("leave the terminal its echo when Ctrl-C ends the question", { timeout: patienceMs }, async () => {
    const line = `trap : INT; ${etcdctl("user add cat")}; until stty -a | grep -q ' echo '; do sleep 0.1; done; echo echoes`;
    const seen = await typed(line, [["Password of cat: ", "\u0003"]]);
    expect(seen).toContain("echoes");
    expect(seen).not.toContain("created");
  });

  test("and a snapshot without the right one ends with Go's code and words", { timeout: patienceMs }, () => {
    const run = (...args: string[]): Finished =>
      runToEnd(program("etcdctl"), [`--endpoints=${server.endpoint}`, ...args], { cwd: folder });
    for (const line of ["user add root:pw", "user grant-role root root", "auth enable"]) {
      expect(run(...line.split(" ")).code).toBe(0);
    }
    const refused = "Error: rpc error: code = InvalidArgument desc = etcdserver: user name is empty\n";
    const unknown = "Error: etcdserver: authentication failed, invalid user ID or password\n";
    const save = ["snapshot", "save", "refused.db"];
    expect(run(...save)).toMatchObject({ code: 5, stderr: expect.stringContaining(`\n${refused}`) as string });
    expect(run("--user=root:bad", ...save)).toMatchObject({
      code: 5,
      stderr: expect.stringContaining(unknown) as string,
    });
    expect(existsSync(join(folder, "refused.db.part"))).toBe(false);
  });
});
