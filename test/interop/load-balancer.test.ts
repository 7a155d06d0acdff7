/**
 * A load balancer in front of a cluster of ours, as on the Kubernetes page: haproxy passes connections on to members that
 * say they are ready. etcdctl and a watch go through it while members are killed one after the other.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { eventually, TestCluster } from "../support/cluster.ts";
import { freePorts, peer, program, runBeside } from "../support/process.ts";

const haproxy = peer("haproxy");
const skipped = haproxy === undefined ? " (skipped: node scripts/fetch-peers.mjs haproxy brings it)" : "";

const children: ChildProcess[] = [];
let cluster: TestCluster | undefined;
afterEach(async () => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  await cluster?.close();
});

/** Checks what the page's readers would: whether a member is ready, not only whether its port is open. */
function configuration(port: number, members: TestCluster["members"]): string {
  return [
    "global",
    "  maxconn 1000",
    "defaults",
    "  mode tcp",
    "  timeout connect 5s",
    "  timeout client 60s",
    "  timeout server 60s",
    "  option redispatch",
    "listen etcd",
    `  bind 127.0.0.1:${port}`,
    "  balance roundrobin",
    "  option httpchk GET /readyz",
    ...members.map(
      ({ name, ports }) =>
        `  server ${name} 127.0.0.1:${ports.client} check inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions`,
    ),
    "",
  ].join("\n");
}

async function startBalancer(members: TestCluster["members"], folder: string): Promise<string> {
  const [port] = await freePorts(1);
  const file = join(folder, "haproxy.cfg");
  writeFileSync(file, configuration(port, members));
  children.push(spawn(haproxy!, ["-db", "-f", file], { stdio: "ignore" }));
  return `http://127.0.0.1:${port}`;
}

/** Lines that a running `etcdctl watch` has printed. */
function watchThrough(endpoint: string, key: string): string[] {
  const lines: string[] = [];
  const args = [`--endpoints=${endpoint}`, "watch", "--rev=1", key];
  const child = spawn(program("etcdctl"), args, { stdio: ["ignore", "pipe", "ignore"] });
  children.push(child);
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    rest += chunk.toString();
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  });
  return lines;
}

describe.skipIf(haproxy === undefined)(`a load balancer in front${skipped}`, () => {
  test("etcdctl and a watch go through it while each member is killed once; every event comes once, in order", async () => {
    cluster = await TestCluster.found([undefined, undefined, undefined]);
    const { members, folder } = cluster;
    const endpoint = await startBalancer(members, folder);
    const etcdctl = (...args: string[]) => runBeside(program("etcdctl"), [`--endpoints=${endpoint}`, ...args]);
    const put = (value: string): Promise<void> =>
      eventually(`${value} is written`, async () => {
        // A put that failed may have been carried out: it is only written when it is not there.
        const { stdout } = await etcdctl("get", "k", "--print-value-only");
        if (stdout === `${value}\n`) return;
        expect(await etcdctl("put", "k", value, "--command-timeout=10s")).toMatchObject({ code: 0, stdout: "OK\n" });
      });

    await put("0");
    const lines = watchThrough(endpoint, "k");
    const values: string[] = ["0"];
    await cluster.step("the watch begins", () => eventually("an event", async () => expect(lines).toContain("0")));
    for (const member of members) {
      await cluster.step(`it goes on without ${member.name}`, async () => {
        await member.kill();
        for (const value of ["down", "still-down"]) {
          values.push(`${member.name}-${value}`);
          await put(values.at(-1)!);
        }
        expect(await etcdctl("endpoint", "health")).toMatchObject({ code: 0 });
      });
      await cluster.step(`${member.name} comes back`, async () => {
        await cluster!.start(member);
        values.push(`${member.name}-back`);
        await put(values.at(-1)!);
      });
    }
    await cluster.step("the watch has seen all", () =>
      eventually("all events", async () => {
        expect(lines.filter((line) => line !== "PUT" && line !== "k")).toEqual(values);
      }),
    );
  });
});
