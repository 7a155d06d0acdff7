/** A cluster under test: members of one contender on this machine, its leader known, and how long it is without one. */
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Client } from "../src/client/client.ts";
import { methods } from "../src/client/methods.ts";
import { connect } from "./connect.ts";
import { type Contender, type Doors, freePorts, type Place, RunningServer } from "./servers.ts";

/** Longest time until a new leader is waited for. */
const leaderTimeoutMs = 30_000;
/** Between two attempts to write while there is no leader, and the time that each has. */
const attemptEveryMs = 10;
const attemptTimeoutMs = 300;

interface Member {
  readonly place: Place;
  readonly folder: string;
  server: RunningServer;
}

export class RunningCluster {
  readonly startMs: number;
  readonly #contender: Contender;
  readonly #doors: Doors;
  readonly #folder: string;
  /** The leader comes first as of the last {@link findLeader}. */
  #members: Member[];

  private constructor(contender: Contender, doors: Doors, folder: string, members: Member[], startMs: number) {
    this.#contender = contender;
    this.#doors = doors;
    this.#folder = folder;
    this.#members = members;
    this.startMs = startMs;
  }

  static async start(contender: Contender, base: string, count: number, doors: Doors): Promise<RunningCluster> {
    const folder = mkdtempSync(join(base, `bench-${contender.name}-`));
    const ports = await freePorts(2 * count);
    const peerUrls = ports.slice(count).map((port) => `http://127.0.0.1:${port}`);
    const initialCluster = peerUrls.map((url, index) => `m${index}=${url}`).join(",");
    const started = performance.now();
    const members = await Promise.all(
      peerUrls.map(async (peerUrl, index) => {
        const place = { name: `m${index}`, port: ports[index], peerUrl, initialCluster };
        const own = join(folder, place.name);
        return { place, folder: own, server: await RunningServer.startAt(contender, own, place, doors) };
      }),
    );
    const cluster = new RunningCluster(contender, doors, folder, members, performance.now() - started);
    await cluster.findLeader();
    return cluster;
  }

  get ports(): readonly number[] {
    return this.#members.map(({ place }) => place.port);
  }

  /** Of all members together. */
  cpuSeconds(): number {
    return this.#members.reduce((sum, { server }) => sum + server.cpuSeconds(), 0);
  }

  /** Of the member that holds most. */
  memory(): { now: number; peak: number } {
    const all = this.#members.map(({ server }) => server.memory());
    return { now: Math.max(...all.map(({ now }) => now)), peak: Math.max(...all.map(({ peak }) => peak)) };
  }

  /** Kills the leader, measures until another member has acknowledged a write, and starts the killed one again. */
  async failOver(): Promise<number> {
    await this.findLeader();
    const [leader, ...others] = this.#members;
    const clients = others.map(({ place }) => connect(place.port));
    // They are connected: what is measured is the cluster.
    await Promise.all(clients.map((client) => client.call(methods.status, {})));
    const killed = leader.server.stop({ keep: true, signal: "SIGKILL" });
    const started = performance.now();
    const over = new AbortController();
    const tookMs = await Promise.any(clients.map((client) => untilWritten(client, started, over.signal)));
    over.abort();
    await killed;
    for (const client of clients) client.close();
    leader.server = await RunningServer.startAt(this.#contender, leader.folder, leader.place, this.#doors);
    return tookMs;
  }

  async findLeader(): Promise<void> {
    const deadline = performance.now() + leaderTimeoutMs;
    while (performance.now() < deadline) {
      const leads = await Promise.all(this.#members.map(({ place }) => isLeader(place.port)));
      const index = leads.indexOf(true);
      if (index >= 0) {
        this.#members = [this.#members[index], ...this.#members.filter((_, other) => other !== index)];
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, attemptEveryMs));
    }
    throw new Error("the cluster has no leader");
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map(({ server }) => server.stop({ keep: true })));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

async function isLeader(port: number): Promise<boolean> {
  const client = connect(port);
  try {
    const { header, leader } = await client.call(methods.status, {}, { timeoutMs: 5_000 });
    return leader !== 0n && header?.memberId === leader;
  } finally {
    client.close();
  }
}

/** Milliseconds since `started` when a write was acknowledged. Attempts overlap: one that came too early hangs or fails. */
function untilWritten(client: Client, started: number, over: AbortSignal): Promise<number> {
  const pair = { key: Buffer.from("failover"), value: Buffer.from("v") };
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => {
      if (over.aborted) return clearInterval(timer);
      if (performance.now() - started > leaderTimeoutMs) {
        clearInterval(timer);
        reject(new Error("nothing could be written after the leader was killed"));
      }
      client.call(methods.put, pair, { timeoutMs: attemptTimeoutMs }).then(
        () => {
          clearInterval(timer);
          resolve(performance.now() - started);
        },
        () => undefined, // no leader yet
      );
    }, attemptEveryMs);
  });
}
