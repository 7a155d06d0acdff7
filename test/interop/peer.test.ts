/**
 * Our peer transport and raft core in one cluster with a real etcd: it leads and we follow, we lead and it follows,
 * snapshots go both ways. Peer endpoints of both are asked by the other.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Member } from "../../src/membership/member.ts";
import { PeerClient } from "../../src/peer/client.ts";
import { deriveClusterId, deriveMemberId } from "../../src/server/ids.ts";
import { MessageType } from "../../src/wire/raft/types.ts";
import { testPlatform } from "../support/member.ts";
import { freePorts, patienceMs, removeFolder, temporaryFolder } from "../support/process.ts";
import { goEtcd, releases, theGoEtcd, titleFor, type Release } from "./go-etcd.ts";
import { ScriptedMember } from "./scripted-member.ts";

const token = "etcd-cluster";
const timeoutMs = 10_000;

/** A Go member whose only peer is ours. */
class GoMember {
  readonly member: Member;
  readonly clientUrl: string;
  log = "";
  #child: ChildProcess | undefined;

  constructor(ports: readonly number[]) {
    const peerUrl = `http://127.0.0.1:${ports[0]}`;
    this.clientUrl = `http://127.0.0.1:${ports[1]}`;
    const id = deriveMemberId([peerUrl], token);
    this.member = { id, peerUrls: [peerUrl], isLearner: false, name: "go", clientUrls: [] };
  }

  start(command: string, dataDir: string, initialCluster: string, more: readonly string[] = []): void {
    const [peerUrl] = this.member.peerUrls;
    const flags = [
      "--name=go",
      `--data-dir=${dataDir}`,
      `--listen-client-urls=${this.clientUrl}`,
      `--advertise-client-urls=${this.clientUrl}`,
      `--listen-peer-urls=${peerUrl}`,
      `--initial-advertise-peer-urls=${peerUrl}`,
      `--initial-cluster=${initialCluster}`,
      ...more,
    ];
    this.#child = spawn(command, flags, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { PATH: process.env["PATH"] ?? "" },
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
  }

  /** @throws when it has ended. */
  check(): void {
    if (this.#child?.exitCode !== null) throw new Error(`etcd ended:\n${this.log}`);
  }

  async call(path: string, body: object): Promise<Record<string, unknown>> {
    const response = await fetch(`${this.clientUrl}${path}`, { method: "POST", body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Record<string, unknown>;
  }

  put(key: string, value: string): Promise<unknown> {
    return this.call("/v3/kv/put", { key: base64(key), value: base64(value) });
  }

  /** A linearizable read. */
  async get(key: string): Promise<string | undefined> {
    const { kvs } = (await this.call("/v3/kv/range", { key: base64(key) })) as { kvs?: { value: string }[] };
    return kvs?.[0] === undefined ? undefined : Buffer.from(kvs[0].value, "base64").toString();
  }

  kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => {
      child.once("exit", () => resolve());
      child.kill("SIGKILL");
    });
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

let folder: string;
let go: GoMember;
let ours: ScriptedMember;
let self: Member;
let clusterId: bigint;

beforeEach(async () => {
  folder = temporaryFolder();
  const ports = await freePorts(3);
  go = new GoMember(ports);
  const peerUrl = `http://127.0.0.1:${ports[2]}`;
  const id = deriveMemberId([peerUrl], token);
  self = { id, peerUrls: [peerUrl], isLearner: false, name: "ours", clientUrls: [] };
  clusterId = deriveClusterId([id, go.member.id].toSorted((a, b) => (a < b ? -1 : 1)));
});

afterEach(async () => {
  await ours.stop();
  await go.kill();
  removeFolder(folder);
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!condition()) {
    go.check();
    if (performance.now() > deadline) throw new Error(`waited in vain:\n${go.log}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function makeOurs(bootstraps: boolean): ScriptedMember {
  const snapshotDirectory = join(folder, "snap");
  mkdirSync(snapshotDirectory, { recursive: true });
  return new ScriptedMember({
    self,
    others: [go.member],
    clusterId,
    serverVersion: "3.6.14",
    snapshotDirectory,
    electionTicks: 1000,
    bootstraps,
  });
}

async function startCluster(release: Release, more: readonly string[] = []): Promise<void> {
  ours = makeOurs(true);
  await ours.start();
  const cluster = `go=${go.member.peerUrls[0]},ours=${self.peerUrls[0]}`;
  go.start(theGoEtcd(release).etcd, join(folder, "go"), cluster, more);
  await until(() => ours.node.lead === go.member.id && go.log.includes("ready to serve client requests"));
}

/** Its probes have been looked at once, on both of its transports. */
async function hasProbed(): Promise<boolean> {
  const metrics = await (await fetch(`${go.clientUrl}/metrics`)).text();
  return /etcd_network_peer_round_trip_time_seconds_count\{[^}]*\} [2-9]/.test(metrics);
}

function hasCommitted(text: string): boolean {
  return ours.committed.some((entry) => Buffer.from(entry.data).includes(text));
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(
    titleFor(release, "a cluster of two with our raft and transport"),
    () => {
      test("it leads with our vote and replicates to us; then we lead and it follows", async () => {
        await startCluster(release);
        await go.put("first", "written under its lead");
        await until(() => hasCommitted("written under its lead"));
        expect(ours.received.get(MessageType.App)).toBeGreaterThan(0);

        ours.act((node) => node.transferLeader(self.id));
        await until(() => ours.node.isLeader && ours.node.committed > 0);
        await until(() => go.log.includes(`elected leader ${self.id.toString(16)}`));
        await go.put("second", "forwarded to us");
        expect(hasCommitted("forwarded to us")).toBe(true);
        expect(ours.received.get(MessageType.Prop)).toBeGreaterThan(0);
        expect(await go.get("second")).toBe("forwarded to us");
        expect(ours.received.get(MessageType.ReadIndex)).toBeGreaterThan(0);

        // Many at once, and one that takes several chunks of the stream.
        const large = "x".repeat(1_000_000);
        await Promise.all([
          go.put("large", large),
          ...Array.from({ length: 200 }, (_, at) => go.put(`k${at}`, `v${at}`)),
        ]);
        expect(await go.get("large")).toBe(large);
        expect(await go.get("k199")).toBe("v199");

        ours.act((node) => node.transferLeader(go.member.id));
        await until(() => ours.node.lead === go.member.id);
        await go.put("third", "its lead again");
        await until(() => hasCommitted("its lead again"));
        expect(go.log).not.toContain('"level":"error"');
        expect(ours.isRemoved).toBe(false);
      });

      test("its peer endpoints answer our client", async () => {
        await startCluster(release);
        await go.put("key", "value");
        const client = new PeerClient({ platform: testPlatform(), dialTimeoutMs: 2000 });
        const [url] = go.member.peerUrls;
        const listed = await client.members(url, timeoutMs);
        expect(listed.clusterId).toBe(clusterId);
        expect(new Set(listed.members.map(({ id }) => id))).toEqual(new Set([self.id, go.member.id]));
        expect(listed.members.find(({ id }) => id === go.member.id)?.clientUrls).toEqual([go.clientUrl]);
        const versions = await client.versions(url, timeoutMs);
        expect(versions.server).toMatch(release === "3.5" ? /^3\.5\./ : /^3\.6\./);
        expect(await client.downgradeEnabled(url, timeoutMs)).toBe(false);
        const hash = await client.hashKv(url, clusterId, 0, timeoutMs);
        expect(hash.currentRevision).toBe(2);
        await expect(client.hashKv(url, clusterId, 99, timeoutMs)).rejects.toMatchObject({ reason: "futureRevision" });
        await expect(client.hashKv(url, 1n, 0, timeoutMs)).rejects.toThrow("cluster ID mismatch");
        await expect(client.promoteMember(url, 99n, undefined, timeoutMs)).rejects.toMatchObject({
          reason: "memberNotFound",
        });
        await expect(client.promoteMember(url, go.member.id, undefined, timeoutMs)).rejects.toMatchObject({
          reason: "memberNotLearner",
        });
        const { ID } = await go.call("/v3/lease/grant", { TTL: 100 });
        const leaseId = BigInt(ID as string);
        await go.call("/v3/kv/put", { key: base64("leased"), value: base64("x"), lease: ID });
        expect(await client.renewLease(url, leaseId, timeoutMs)).toBe(100);
        const lease = await client.leaseTimeToLive(url, leaseId, true, timeoutMs);
        expect(lease.grantedTtlSeconds).toBe(100);
        expect(lease.keys.map((key) => Buffer.from(key).toString())).toEqual(["leased"]);
        await expect(client.renewLease(url, 12345n, timeoutMs)).rejects.toMatchObject({ reason: "leaseNotFound" });
      });

      test("it brings us up as a learner by a snapshot with its database, and takes one from us", async () => {
        const catchUp =
          release === "3.5" ? "--experimental-snapshot-catchup-entries=5" : "--snapshot-catchup-entries=5";
        const alone = `go=${go.member.peerUrls[0]}`;
        go.start(theGoEtcd(release).etcd, join(folder, "go"), alone, ["--snapshot-count=20", catchUp]);
        await until(() => go.log.includes("ready to serve client requests"));
        const value = "v".repeat(10_000);
        for (let index = 0; index < 100; index++) await go.put(`key${index}`, value);
        const added = await go.call("/v3/cluster/member/add", { peerURLs: self.peerUrls, isLearner: true });
        self = { ...self, id: BigInt((added["member"] as { ID: string }).ID), isLearner: true };
        clusterId = deriveClusterId([go.member.id]);
        ours = makeOurs(false);
        await ours.start();

        await until(() => ours.lastSnapshot !== undefined && ours.node.committed > 0);
        const message = ours.lastSnapshot;
        if (message === undefined) throw new Error("no snapshot");
        const index = message.snapshot?.metadata.index ?? 0;
        expect(index).toBeGreaterThan(20);
        const name = `${index.toString(16).padStart(16, "0")}.snap.db`;
        expect(readdirSync(join(folder, "snap"))).toEqual([name]);
        const database = readFileSync(join(folder, "snap", name));
        expect(database.readUInt32LE(16)).toBe(0xed0cdaed); // bbolt's magic on the first page
        expect(database.length % 4096).toBe(0);
        await until(() => go.log.includes("sent database snapshot"));
        await go.put("after", "the snapshot");
        await until(() => hasCommitted("the snapshot"));

        // Back to where it came from: a leader has no use for it, but its transport takes it.
        const closed: boolean[] = [];
        ours.sendSnapshot(
          { ...message, from: self.id, to: go.member.id, term: ours.node.term },
          {
            size: database.length,
            read: (target, position) => Promise.resolve(database.copy(target, 0, position)),
            close: (sent) => void closed.push(sent),
          },
        );
        await until(() => ours.reports.length > 0);
        expect(ours.reports).toEqual([{ peerId: go.member.id, ok: true }]);
        expect(closed).toEqual([true]);
        await until(() => go.log.includes("received and saved database snapshot"));
        expect(readFileSync(join(folder, "go/member/snap", name)).equals(database)).toBe(true);
      });

      test("idle, both stay connected, and the probes of both are answered", async () => {
        await startCluster(release);
        const ourRoundTrips = ours.transport.metrics.of(go.member.id).roundTripSeconds;
        while (ourRoundTrips.count < 2 || !(await hasProbed())) {
          go.check();
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
        expect(ours.lines.filter(({ message }) => message.startsWith("prober"))).toEqual([]);
        expect(ours.lines.filter(({ message }) => message.startsWith("lost"))).toEqual([]);
        expect(go.log).not.toContain("prober detected unhealthy");
        expect(go.log).not.toContain("lost TCP streaming connection");
        expect(ours.transport.activePeers()).toBe(1);
      });

      test("it removes us, and our transport says so", async () => {
        // Its check of health would not let one of two go.
        await startCluster(release, ["--strict-reconfig-check=false"]);
        await go.call("/v3/cluster/member/remove", { ID: self.id.toString() });
        await until(() => ours.isRemoved);
        await go.put("still", "serving");
      });

      test("a member of another cluster is refused by it, and it by us", async () => {
        clusterId += 1n;
        ours = makeOurs(true);
        await ours.start();
        const cluster = `go=${go.member.peerUrls[0]},ours=${self.peerUrls[0]}`;
        go.start(theGoEtcd(release).etcd, join(folder, "go"), cluster);
        await until(() => go.log.includes("request cluster ID mismatch") && go.log.includes("cluster ID mismatch"));
        await until(() => ours.lines.some((line) => line.message === "request cluster ID mismatch"));
        const warning = "request sent was ignored by remote peer due to cluster ID mismatch";
        await until(() => ours.lines.some((line) => line.message === warning));
        expect(ours.received.size).toBe(0);
      });
    },
  );
});
