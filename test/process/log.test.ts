/** Where a member's lines go, and what happens when they cannot go there. */
import { spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePorts, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";

function flagsFor(folder: string, [client, peer]: readonly number[]): string[] {
  const url = `http://127.0.0.1:${client}`;
  const peerUrl = `http://127.0.0.1:${peer}`;
  return [
    `--data-dir=${join(folder, "data")}`,
    `--listen-client-urls=${url}`,
    `--advertise-client-urls=${url}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=default=${peerUrl}`,
  ];
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

test.skipIf(!existsSync("/dev/full"))("a member whose log has no room serves (skipped without /dev/full)", async () => {
  const folder = temporaryFolder();
  const ports = await freePorts(2);
  const full = openSync("/dev/full", "w");
  const args = [...flagsFor(folder, ports), "--log-outputs=stderr,/dev/full", "--log-level=debug"];
  const child = spawn(program("etcd"), args, { stdio: ["ignore", "ignore", full] });
  closeSync(full);
  try {
    const get = ["get", "x", `--endpoints=127.0.0.1:${ports[0]}`];
    await until(() => child.exitCode !== null || runToEnd(program("etcdctl"), get).code === 0);
    expect(child.exitCode).toBeNull();
    const exited = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  } finally {
    child.kill("SIGKILL");
    removeFolder(folder);
  }
});

test("a rotated file holds every line; a bad file or rotation ends the start with etcd's words", async () => {
  const folder = temporaryFolder();
  const path = join(folder, "log", "etcd.log");
  const flags = flagsFor(folder, await freePorts(2));
  const rotating = [...flags, `--log-outputs=${path}`, "--enable-log-rotation", "--logger=zap"];
  const child = spawn(program("etcd"), rotating, { stdio: "ignore" });
  try {
    await until(() => existsSync(path) && readFileSync(path, "utf8").includes("ready to serve client requests"));
    const lines = readFileSync(path, "utf8").trim().split("\n");
    expect(JSON.parse(lines[0])).toMatchObject({ level: "info", msg: "Running: " });
    const refused = (...args: string[]): unknown => {
      const { code, stderr } = runToEnd(program("etcd"), [...flags, ...args]);
      expect(code).toBe(1);
      return (JSON.parse(stderr.trim().split("\n").at(-1) ?? "") as { error: unknown }).error;
    };
    expect(refused(`--log-outputs=${folder}/no/x.log`)).toBe(
      `open sink "${folder}/no/x.log": open ${folder}/no/x.log: no such file or directory`,
    );
    expect(refused("--enable-log-rotation")).toMatch(/^--log-outputs requires a single file path/);
    expect(refused(`--log-outputs=${folder}/y`, "--enable-log-rotation", "--log-rotation-config-json={")).toBe(
      "improperly formatted log rotation config: unexpected end of JSON input",
    );
    expect(refused("--log-outputs=systemd/journal,stderr")).toMatch(/^running with systemd\/journal but other/);
    expect(refused("--logger=capnslog")).toBe("--logger=capnslog is removed in v3.5");
  } finally {
    child.kill("SIGKILL");
    removeFolder(folder);
  }
});
