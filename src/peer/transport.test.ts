import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { TestClock } from "../../test/support/memory-connection.ts";
import { MemoryNetwork } from "../../test/support/memory-network.ts";
import { localMember, TestPeer } from "../../test/support/peer-cluster.ts";
import { testPlatform } from "../../test/support/member.ts";
import type { Connection } from "../platform/network.ts";
import { createMessage, createSnapshot, EntryType, MessageType, type Entry, type Message } from "../wire/raft/types.ts";
import { pipelineConcurrency, pipelineQueueMax, pipelineTimeoutMs, snapshotStallMs, streamQueueMax } from "./limits.ts";
import type { LocalMember, SnapshotImage } from "./types.ts";

const real = testPlatform();
let folder: string;
let clock: TestClock;
let network: MemoryNetwork;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quorate-peer-"));
  clock = new TestClock();
  network = new MemoryNetwork(clock);
});

afterEach(() => {
  rmSync(folder, { recursive: true });
});

const idA = 0xan;
const idB = 0xbn;
const idC = 0xcn;
const urlOf = (name: string): string => `http://${name}:2380`;

async function start(name: string, id: bigint, changes: Partial<LocalMember> = {}): Promise<TestPeer> {
  const platform = {
    clock,
    network: network.host(name),
    disk: real.disk,
    random: real.random,
    resolver: real.resolver,
  };
  const peer = new TestPeer(platform, localMember(id, urlOf(name), changes), folder);
  await platform.network.listen({ host: name, port: 2380 }, (connection) => peer.server.handleConnection(connection));
  return peer;
}

/** Two members that know each other, connected. */
async function pair(): Promise<[TestPeer, TestPeer]> {
  const a = await start("a", idA);
  const b = await start("b", idB);
  a.transport.addPeer(idB, [urlOf("b")]);
  b.transport.addPeer(idA, [urlOf("a")]);
  await clock.advance(250);
  return [a, b];
}

function message(type: MessageType, from: bigint, to: bigint, fields: Partial<Message> = {}): Message {
  return { ...createMessage(type, to), from, term: 3, ...fields };
}

function entries(first: number, count: number, bytes = 10): Entry[] {
  return Array.from({ length: count }, (_, at) => ({
    type: EntryType.Normal,
    term: 3,
    index: first + at,
    data: new Uint8Array(bytes).fill(at + 1),
  }));
}

function appendFrom(from: bigint, to: bigint, first: number, count: number, bytes?: number): Message {
  return message(MessageType.App, from, to, { logTerm: 3, index: first - 1, entries: entries(first, count, bytes) });
}

test("messages arrive complete and in order on both streams, whatever the network makes of them", async () => {
  network.pieceBytes = 13;
  const [a, b] = await pair();
  const sent = [
    message(MessageType.Vote, idA, idB, { index: 7, logTerm: 2 }),
    appendFrom(idA, idB, 8, 3),
    appendFrom(idA, idB, 11, 2, 500),
    message(MessageType.Heartbeat, idA, idB, { commit: 9, context: Uint8Array.of(1, 2, 3) }),
    appendFrom(idA, idB, 13, 0),
  ];
  for (const one of sent) a.transport.send([one]);
  await clock.settle();
  const isAppend = ({ type }: Message): boolean => type === MessageType.App;
  expect(b.received.filter(isAppend)).toEqual(sent.filter(isAppend));
  expect(b.received.filter((one) => !isAppend(one))).toEqual(sent.filter((one) => !isAppend(one)));
  expect(a.transport.metrics.of(idB).sentBytes).toBe(b.transport.metrics.of(idA).receivedBytes);
});

test("appends to one peer in one turn arrive as one", async () => {
  const [a, b] = await pair();
  a.transport.send([appendFrom(idA, idB, 8, 3), appendFrom(idA, idB, 11, 2), appendFrom(idA, idB, 13, 0)]);
  await clock.settle();
  expect(b.received).toEqual([{ ...appendFrom(idA, idB, 8, 0), entries: [...entries(8, 3), ...entries(11, 2)] }]);
});

test("both sides are active once connected, and idle streams stay so", async () => {
  const [a, b] = await pair();
  const since = a.transport.activeSince(idB);
  expect(since).toBeTypeOf("number");
  await clock.advance(60_000);
  expect(a.transport.activeSince(idB)).toBe(since);
  expect(b.transport.activePeers()).toBe(1);
  expect(a.unreachable).toEqual([]);
});

test("without streams messages are posted, and the streams take over when they are there", async () => {
  const a = await start("a", idA);
  const b = await start("b", idB);
  a.transport.addPeer(idB, [urlOf("b")]); // b does not know a yet: a has nobody that dials it
  a.transport.send([message(MessageType.PreVote, idA, idB)]);
  await clock.advance(100);
  expect(b.received.map(({ type }) => type)).toEqual([MessageType.PreVote]);
  expect(b.has("added new remote peer")).toBe(true);
  b.transport.send([message(MessageType.PreVoteResp, idB, idA)]); // the remote answers by posting, too
  await clock.advance(100);
  expect(a.received.map(({ type }) => type)).toEqual([MessageType.PreVoteResp]);
});

test("a cut link is noticed on both sides, and dialed again until it heals", async () => {
  const [a, b] = await pair();
  network.cut("a", "b");
  await clock.advance(500);
  expect(a.transport.activeSince(idB)).toBeUndefined();
  expect(b.transport.activeSince(idA)).toBeUndefined();
  expect(a.unreachable).toContain(idB);
  const before = network.connects;
  await clock.advance(1000);
  // Two streams of each side at most ten times a second, and a few probes.
  expect(network.connects - before).toBeLessThanOrEqual(2 * 2 * 11 + 4);
  network.heal();
  await clock.advance(200);
  expect(a.transport.activeSince(idB)).toBeTypeOf("number");
  a.transport.send([appendFrom(idA, idB, 1, 1)]);
  await clock.settle();
  expect(b.received).toEqual([appendFrom(idA, idB, 1, 1)]);
});

test("a peer that goes silent is given up after five seconds", async () => {
  const [a, b] = await pair();
  network.stallTowards("b");
  await clock.advance(8000);
  expect(b.has("lost TCP streaming connection with remote peer")).toBe(true);
  expect(a.unreachable).toContain(idB);
});

test("a peer that accepts and serves only seconds later gets each stream once", async () => {
  const b = await start("b", idB);
  const accepted: Connection[] = [];
  await network.host("b").listen({ host: "b", port: 2380 }, (connection) => void accepted.push(connection));
  const a = await start("a", idA);
  a.transport.addPeer(idB, [urlOf("b")]);
  b.transport.addPeer(idA, [urlOf("a")]);
  await clock.advance(7000);
  // In any order, as its event loop pleases.
  for (const connection of accepted.toReversed()) b.server.handleConnection(connection);
  b.transport.send([message(MessageType.Prop, idB, idA)]);
  await clock.advance(50);
  expect(a.received.length).toBe(1);
  expect(a.has("lost TCP streaming connection with remote peer")).toBe(false);
});

test("a slow peer costs a bounded queue, is reported, and does not hold up another", async () => {
  const [a, b] = await pair();
  const c = await start("c", idC);
  a.transport.addPeer(idC, [urlOf("c")]);
  c.transport.addPeer(idA, [urlOf("a")]);
  await clock.advance(250);
  network.stallTowards("b");
  const rounds = streamQueueMax + 2000;
  for (let index = 1; index <= rounds; index++) {
    // None begins where the one before ends: they stay apart.
    a.transport.send([appendFrom(idA, idB, 2 * index, 1, 200), appendFrom(idA, idC, 2 * index, 1, 200)]);
    if (index % 100 === 0) await clock.settle();
  }
  await clock.settle();
  expect(c.received.length).toBe(rounds);
  expect(b.received.length).toBe(0);
  expect(a.unreachable).toContain(idB);
  expect(a.unreachable).not.toContain(idC);
  expect(a.lines.filter((line) => line.message.startsWith("dropped internal Raft message")).length).toBe(1);
});

test("the pipeline drops what it has no room for, and says so", async () => {
  const a = await start("a", idA);
  const b = await start("b", idB);
  a.transport.addPeer(idB, [urlOf("b")]);
  const count = pipelineConcurrency + pipelineQueueMax + 5;
  a.transport.send(Array.from({ length: count }, (_, term) => message(MessageType.Vote, idA, idB, { term })));
  expect(a.unreachable).toEqual([idB, idB, idB, idB, idB]);
  await clock.advance(100);
  expect(b.received.length).toBe(count - 5);
});

test("a removed member is refused with 410 and 403, and told so exactly then", async () => {
  const [a, b] = await pair();
  b.removed.add(idA);
  b.transport.removePeer(idA);
  await clock.advance(300);
  expect(a.removedErrors).toBeGreaterThan(0);
  expect(b.has("rejected stream from remote peer because it was removed")).toBe(true);
  const before = a.removedErrors;
  a.transport.send([message(MessageType.Vote, idA, idB)]);
  await clock.advance(50);
  expect(a.removedErrors).toBeGreaterThan(before);
  expect(b.received).toEqual([]);
});

test("a message to another member is refused", async () => {
  const [a, b] = await pair();
  const wrong = message(MessageType.Heartbeat, idA, idB);
  a.transport.send([{ ...wrong, to: idB }]);
  await clock.settle();
  expect(b.received.length).toBe(1);
  const stranger = await start("d", 0xdn);
  stranger.transport.addPeer(idC, [urlOf("b")]); // believes that c lives where b does
  stranger.transport.send([message(MessageType.Vote, 0xdn, idC)]);
  await clock.advance(100);
  expect(b.received.length).toBe(1);
  expect(stranger.removedErrors).toBe(0); // 403 would end it, and it was not removed
  expect(b.has("rejected Raft message to mismatch member")).toBe(true);
});

test("another cluster's member is refused with 412, logged once on each side, and changes nothing", async () => {
  const a = await start("a", idA);
  const b = await start("b", idB, { clusterId: 0xc2n });
  a.transport.addPeer(idB, [urlOf("b")]);
  b.transport.addPeer(idA, [urlOf("a")]);
  a.transport.send([message(MessageType.Vote, idA, idB)]);
  await clock.advance(5000);
  expect(b.received).toEqual([]);
  expect(a.transport.activePeers()).toBe(0);
  expect(b.lines.filter((line) => line.message === "request cluster ID mismatch").length).toBe(1);
  const warning = "request sent was ignored by remote peer due to cluster ID mismatch";
  expect(a.lines.filter((line) => line.message === warning).length).toBe(2); // one of each stream
});

test("a member whose version does not fit is refused", async () => {
  const a = await start("a", idA, { serverVersion: "2.3.8", minClusterVersion: "2.1.0" });
  const b = await start("b", idB);
  const future = await start("f", 0xfn, { serverVersion: "4.9.0", minClusterVersion: "4.0.0" });
  a.transport.addPeer(idB, [urlOf("b")]);
  future.transport.addPeer(idB, [urlOf("b")]);
  b.transport.addPeer(idA, [urlOf("a")]);
  b.transport.addPeer(0xfn, [urlOf("f")]);
  a.transport.send([message(MessageType.Vote, idA, idB)]);
  future.transport.send([message(MessageType.Vote, 0xfn, idB)]);
  await clock.advance(300);
  expect(b.received).toEqual([]);
  const errors = b.lines.filter((line) => line.message === "failed version compatibility check");
  expect(errors.map(({ fields }) => fields["error"])).toEqual([
    "remote version is too low: remote[a]=2.3.8, local=3.6.14",
    "local version is too low: remote[f]=4.9.0, local=3.6.14",
  ]);
});

test("a peer is found at its second URL, and at a new one", async () => {
  const a = await start("a", idA);
  const b = await start("b", idB);
  a.transport.addPeer(idB, [urlOf("nowhere"), urlOf("b")]);
  b.transport.addPeer(idA, [urlOf("gone")]);
  await clock.advance(500);
  expect(a.transport.activeSince(idB)).toBeTypeOf("number");
  b.transport.updatePeer(idA, [urlOf("a")]);
  await clock.advance(500);
  a.transport.send([appendFrom(idA, idB, 1, 1)]);
  await clock.settle();
  expect(b.received.length).toBe(1);
});

test("a member that joined unseen is remembered by its URLs and gets answers", async () => {
  const a = await start("a", idA);
  const b = await start("b", idB);
  a.transport.addPeer(idB, [urlOf("b")]);
  await clock.advance(100); // a dials b, which does not know a
  expect(b.has("failed to find remote peer in cluster")).toBe(true);
  b.transport.send([message(MessageType.AppResp, idB, idA)]);
  await clock.advance(100);
  expect(a.received.map(({ type }) => type)).toEqual([MessageType.AppResp]);
});

test("a paused peer neither sends nor hears, and goes on when resumed", async () => {
  const [a, b] = await pair();
  a.transport.pausePeer(idB);
  a.transport.send([message(MessageType.Heartbeat, idA, idB)]);
  b.transport.send([message(MessageType.HeartbeatResp, idB, idA)]);
  await clock.settle();
  expect([a.received.length, b.received.length]).toEqual([0, 0]);
  a.transport.resumePeer(idB);
  a.transport.send([message(MessageType.Heartbeat, idA, idB)]);
  await clock.settle();
  expect(b.received.length).toBe(1);
});

test("what the member does not take is dropped and counted; a proposal that nobody leads for is called so", async () => {
  const [a, b] = await pair();
  b.accepts = false;
  a.transport.send([message(MessageType.Prop, idA, idB, { entries: entries(0, 1) })]);
  await clock.settle();
  expect(b.transport.metrics.of(idA).receiveFailures).toBe(1);
  expect(b.has("failed to process Raft message")).toBe(true);
  expect(b.has("dropped internal Raft message since receiving buffer is full (overloaded network)")).toBe(false);
  a.transport.send([message(MessageType.Heartbeat, idA, idB)]);
  await clock.settle();
  expect(b.has("dropped internal Raft message since receiving buffer is full (overloaded network)")).toBe(true);
  expect(a.transport.activeSince(idB)).toBeTypeOf("number");
});

test("stop() closes every connection and every timer", async () => {
  const [a, b] = await pair();
  await a.transport.stop();
  await b.transport.stop();
  a.server.close();
  b.server.close();
  await clock.advance(20_000);
  expect(network.openConnections()).toBe(0);
  expect(clock.pendingTimers).toBe(0);
});

/** Accepts and reads, and says nothing. */
async function listenSilently(name: string): Promise<void> {
  await network.host(name).listen({ host: name, port: 2380 }, (connection) => {
    connection.setHandlers({
      data: () => undefined,
      end: () => connection.end(),
      drained: () => undefined,
      closed: () => undefined,
    });
  });
}

test("stop() ends requests that wait for an answer, and nobody hears of them", async () => {
  const a = await start("a", idA);
  await listenSilently("b");
  a.transport.addPeer(idB, [urlOf("b")]);
  a.transport.send([message(MessageType.Vote, idA, idB)]);
  await clock.advance(20);
  expect(clock.pendingTimers).toBeGreaterThan(0);
  await a.transport.stop();
  await clock.settle();
  expect(clock.pendingTimers).toBe(0);
  expect(a.unreachable).toEqual([]);
});

test("a posted message without an answer is given up", async () => {
  const a = await start("a", idA);
  await listenSilently("b");
  a.transport.addPeer(idB, [urlOf("b")]);
  a.transport.send([message(MessageType.Vote, idA, idB)]);
  await clock.advance(pipelineTimeoutMs + 1000);
  expect(a.unreachable).toEqual([idB]);
});

test("a snapshot that its receiver does not take is given up, and its image released", async () => {
  const a = await start("a", idA);
  await listenSilently("b");
  a.transport.addPeer(idB, [urlOf("b")]);
  await clock.advance(10);
  const closed: boolean[] = [];
  let readBytes = 0;
  const image: SnapshotImage = {
    size: 100 << 20,
    read(target) {
      readBytes += target.length;
      if (readBytes > 2 << 20) network.stallTowards("b");
      return Promise.resolve(target.length);
    },
    close: (sent) => void closed.push(sent),
  };
  a.transport.sendSnapshot({ ...message(MessageType.Snap, idA, idB), snapshot: createSnapshot() }, image);
  await clock.advance(snapshotStallMs + 5000);
  expect(closed).toEqual([false]);
  expect(a.snapshots).toEqual([{ peerId: idB, ok: false }]);
  expect(readBytes).toBeLessThan(4 << 20); // what nobody takes is not read either
});

test("through any cuts, what arrives was sent, arrives once, and the link heals", async () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant("send" as const), count: fc.integer({ min: 1, max: 5 }) }),
      fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 400 }) }),
      fc.record({ kind: fc.constant("cut" as const) }),
      fc.record({ kind: fc.constant("heal" as const) }),
    ),
    { maxLength: 25 },
  );
  await fc.assert(
    fc.asyncProperty(steps, fc.integer({ min: 1, max: 200 }), async (plan, pieceBytes) => {
      clock = new TestClock();
      network = new MemoryNetwork(clock);
      network.pieceBytes = pieceBytes;
      const [a, b] = await pair();
      let index = 1;
      const sendOne = (): void => {
        const type = index % 3 === 0 ? MessageType.Heartbeat : MessageType.App;
        a.transport.send([{ ...appendFrom(idA, idB, index, index % 4), type, commit: index }]);
        index++;
      };
      for (const step of plan) {
        if (step.kind === "send") for (let count = 0; count < step.count; count++) sendOne();
        else if (step.kind === "wait") await clock.advance(step.ms);
        else if (step.kind === "cut") network.cut("a", "b");
        else network.heal();
      }
      network.heal();
      await clock.advance(1000);
      const last = index;
      sendOne();
      await clock.advance(100);
      const arrived = b.received.map(({ commit }) => commit);
      expect(new Set(arrived).size).toBe(arrived.length);
      expect(arrived).toContain(last);
      for (const one of b.received) {
        const type = one.commit % 3 === 0 ? MessageType.Heartbeat : MessageType.App;
        expect(one).toEqual({ ...appendFrom(idA, idB, one.commit, one.commit % 4), type, commit: one.commit });
      }
      await a.transport.stop();
      await b.transport.stop();
    }),
    { numRuns: 60 },
  );
});

test("whatever bytes come to the peer port, it answers or closes, and receives nothing", async () => {
  const head = "HTTP/1.1\r\nHost: b\r\nX-Etcd-Cluster-ID: c1\r\nX-Server-Version: 3.6.0\r\n";
  const requests = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc
      .record({
        start: fc.constantFrom("POST /raft", "POST /raft/snapshot", "GET /raft/stream/message/a", "GET /raft/probing"),
        framing: fc.constantFrom("Transfer-Encoding: chunked", "Content-Length: 40", "Expect: 100-continue", "X: y"),
        body: fc.uint8Array({ maxLength: 200 }),
      })
      .map(({ start, framing, body }) => Buffer.concat([Buffer.from(`${start} ${head}${framing}\r\n\r\n`), body])),
  );
  const b = await start("b", idB);
  await fc.assert(
    fc.asyncProperty(fc.array(requests, { minLength: 1, maxLength: 3 }), async (parts) => {
      const connection = await network.host("x").connect({ host: "b", port: 2380 });
      let isClosed = false;
      connection.setHandlers({
        data: () => undefined,
        end: () => connection.end(),
        drained: () => undefined,
        closed: () => (isClosed = true),
      });
      for (const part of parts) connection.write(part);
      await clock.advance(8000);
      expect(isClosed).toBe(true);
    }),
    { numRuns: 200 },
  );
  // An empty body is a valid message, but one to nobody.
  expect(b.received).toEqual([]);
});

test("a garbled stream is dropped and dialed again", async () => {
  const a = await start("a", idA);
  const platform = network.host("b");
  let dials = 0;
  await platform.listen({ host: "b", port: 2380 }, (connection) => {
    dials++;
    connection.setHandlers({
      data() {
        connection.write(
          Buffer.from("HTTP/1.1 200 OK\r\nX-Server-Version: 3.6.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        );
        connection.write(Buffer.from("9\r\nabcdefghi\r\n"));
      },
      end: () => connection.end(),
      drained: () => undefined,
      closed: () => undefined,
    });
  });
  a.transport.addPeer(idB, [urlOf("b")]);
  await clock.advance(1000);
  expect(dials).toBeGreaterThan(4);
  expect(dials).toBeLessThan(30);
  expect(a.received).toEqual([]);
});

test("clocks that differ by more than a second are warned of", async () => {
  const a = await start("a", idA);
  await network.host("b").listen({ host: "b", port: 2380 }, (connection) => {
    connection.setHandlers({
      data() {
        const now = new Date(clock.now() - 5000).toISOString();
        const body = `{"OK":true,"Now":"${now}"}\n`;
        connection.write(Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`));
      },
      end: () => connection.end(),
      drained: () => undefined,
      closed: () => undefined,
    });
  });
  a.transport.addPeer(idB, [urlOf("b")]);
  await clock.advance(6000);
  const drift = a.lines.find((line) => line.message === "prober found high clock drift");
  expect(drift?.fields["clock-drift"]).toBe("5s");
  expect(a.transport.metrics.of(idB).roundTripSeconds.count).toBe(2);
});
