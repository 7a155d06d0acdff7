/**
 * Every command and flag that etcdctl and etcdutl have in 3.6 (test/fixtures/commands: names as their help shows them, with
 * shorthands) is there, and no other.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Command, findCommand, shownCommands } from "../src/cli/shared/command.ts";
import { helpText } from "../src/cli/shared/usage.ts";
import { program as etcdctl } from "../src/cli/etcdctl/program.ts";
import { program as etcdutl } from "../src/cli/etcdutl/program.ts";
import { program, runToEnd } from "./support/process.ts";

const programs = { etcdctl, etcdutl } as const;
const names = ["etcdctl", "etcdutl"] as const;

/** Path of a command → its flags, `name` or `name/shorthand`. */
function table(name: string): Record<string, string[]> {
  const path = join(import.meta.dirname, "fixtures", "commands", `${name}.json`);
  return JSON.parse(readFileSync(path, "utf8")) as Record<string, string[]>;
}

function flagsOfTree(command: Command, path: string, found: Record<string, string[]>): Record<string, string[]> {
  const flags = [...(command.sharedFlags ?? []), ...(command.flags ?? [])];
  found[path] = flags.map(({ name, shorthand }) => (shorthand === undefined ? name : `${name}/${shorthand}`)).sort();
  for (const child of shownCommands(command)) {
    flagsOfTree(child, path === "" ? child.name : `${path} ${child.name}`, found);
  }
  return found;
}

test.each(names)("the command tree of %s is etcd's", (name) => {
  const wanted = table(name);
  const found = flagsOfTree(programs[name].root, "", {});
  // The shells of `completion` are commands there, and arguments here.
  for (const path of Object.keys(wanted)) if (path.startsWith("completion ")) delete wanted[path];
  expect(found).toEqual(wanted);
});

test.each(names)("the help of every command of %s shows its flags", (name) => {
  for (const [path, flags] of Object.entries(table(name))) {
    const help = helpText(programs[name], findCommand(programs[name].root, path.split(" ")).path);
    for (const flag of flags) {
      const [long, short] = flag.split("/");
      expect(help, path).toMatch(new RegExp(`^ +${short === undefined ? "" : `-${short}, `}--${long}\\b`, "m"));
    }
  }
});

test.each(names)("the built %s prints that help", (name) => {
  const { path } = findCommand(programs[name].root, ["snapshot"]);
  const { stdout } = runToEnd(program(name), ["snapshot", "--help"]);
  expect(stdout).toContain(helpText(programs[name], path).trim());
});

test("commands that etcdctl had in 3.5 are found by their whole name and not shown", () => {
  for (const word of ["restore", "status"]) {
    expect(findCommand(etcdctl.root, ["snapshot", word]).path.at(-1)?.name).toBe(word);
    expect(findCommand(etcdctl.root, ["snapshot", word.slice(0, -1)]).path.at(-1)?.name).toBe("snapshot");
  }
  expect(findCommand(etcdctl.root, ["snapshot", "s"]).path.at(-1)?.name).toBe("save");
});

const completions: readonly [line: string, ...some: string[]][] = [
  ["etcdctl ", "alarm", "watch"],
  ["etcdctl snap", "snapshot"],
  ["etcdctl member ", "add", "list", "promote", "remove", "update"],
  ["etcdctl --endpoints=http://127.0.0.1:2379 lease g", "grant"],
  ["etcdctl --endpoints 127.0.0.1:2379 get --pre", "--prefix"],
  ["etcdctl snapshot ", "save"],
  ["etcdutl snapshot restore --bump", "--bump-revision"],
  ["etcdutl -w json hash", "hashkv"],
];

test.each(completions)("bash completes %j", (line, ...some) => {
  const [name] = line.split(" ");
  const script = `
    PATH=${join(program("etcdctl"), "..")}:$PATH
    source <(${name} completion bash)
    COMP_LINE="$1"; COMP_POINT=\${#COMP_LINE}
    eval "$(complete -p ${name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr } = runToEnd("bash", ["--norc", "--noprofile", "-c", script, "bash", line]);
  expect(stderr).toBe("");
  const found = stdout.trim().split("\n");
  expect(found).toEqual(expect.arrayContaining(some));
  expect(found).not.toContain("restore");
  const partial = line.slice(line.lastIndexOf(" ") + 1);
  for (const word of found) expect(word.startsWith(partial), word).toBe(true);
});

test.each(["zsh", "fish", "powershell"])("there is a script for %s, and none for another shell", (shell) => {
  for (const name of names) {
    expect(runToEnd(program(name), ["completion", shell]).stdout).toContain(`${name} __complete`.slice(-10));
    expect(runToEnd(program(name), ["completion", "ksh"])).toMatchObject({ code: 1 });
  }
});
