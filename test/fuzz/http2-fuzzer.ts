/**
 * Fuzzing of the server side of HTTP/2 and gRPC: a seeded mixture of proper requests, frames with wrong fields, mutated
 * and random bytes, in random pieces, against a server connection in memory. What must hold whatever comes:
 *
 * - nothing is thrown (a bug of ours would be), and the connection ends or goes on, never hangs: after the last byte a
 *   connection that still lives answers a proper request;
 * - no call, timer or connection is left behind once the client is gone;
 * - what waits for the client stays below the limits.
 */
import { FrameType } from "../../src/http2/frame.ts";
import { generator, type Random, randomBytes } from "./random.ts";
import { RawPeer, frame, message, preface, settings, uint32 } from "../support/raw-http2.ts";

const paths = ["/t.S/Echo", "/t.S/Hang", "/t.S/Big", "/t.S/Chat", "/t.S/None", "/x/y"];

/** One thing the client says, proper or not. */
function utterance(peer: RawPeer, random: Random, next: { id: number }, tame: boolean): Uint8Array {
  const id = tame || random(4) > 0 ? Math.max(1, next.id - 2) : random(next.id + 4);
  if (tame && next.id === 1) return openStream(peer, random, next, 4);
  switch (random(tame ? 7 : 14)) {
    case 0:
    case 1:
    case 2:
      return openStream(peer, random, next, tame || random(8) > 0 ? 4 : random(256));
    case 3:
    case 4:
      return frame(FrameType.data, random(2), id, message(randomBytes(random, 300)));
    case 5:
      return frame(FrameType.resetStream, 0, id, uint32(random(20)));
    case 6:
      return frame(FrameType.windowUpdate, 0, random(2) * id, uint32(1 + random(0x10000)));
    case 7:
      return frame(FrameType.data, random(256), id, randomBytes(random, 40));
    case 8:
      return settings([random(8), random(2) === 0 ? random(70_000) : random(0xffff_ffff)]);
    case 9:
      return frame(FrameType.ping, random(2), 0, randomBytes(random, 1).length === 0 ? new Uint8Array(8) : [1]);
    case 10:
      return frame(FrameType.continuation, random(256), id, randomBytes(random, 30));
    case 11:
      return frame(FrameType.headers, random(256), next.id + random(6), randomBytes(random, 60));
    case 12:
      return frame(random(256), random(256), random(20), randomBytes(random, 30));
    default:
      return random(6) === 0 ? randomBytes(random, 100) : frame(FrameType.priority, 0, id, [0, 0, 0, random(9), 1]);
  }
}

function openStream(peer: RawPeer, random: Random, next: { id: number }, flags: number): Uint8Array {
  const { id } = next;
  next.id += 2;
  return peer.headers(id, paths[random(paths.length)], flags);
}

function mutate(bytes: Uint8Array, random: Random): Uint8Array {
  if (random(12) !== 0 || bytes.length === 0) return bytes;
  const copy = new Uint8Array(bytes);
  copy[random(copy.length)] = random(256);
  return random(3) === 0 ? copy.subarray(0, random(copy.length)) : copy;
}

/** What one run did, to see that the fuzzer reaches both the living and the dead. */
export interface FuzzOutcome {
  readonly alive: boolean;
  readonly calls: number;
}

/** One connection's life from a seed. Throws when one of the rules above is broken. */
export async function fuzzConnection(seed: number): Promise<FuzzOutcome> {
  const random = generator(seed);
  const peer = new RawPeer({ maxReceiveBytes: 5000, limits: { maxQueuedBytes: 4_000_000 } });
  peer.near.pieceBytes = 1 + random(random(2) === 0 ? 20 : 5000);
  const next = { id: 1 };
  await peer.say(random(30) === 0 ? randomBytes(random, 60) : preface, settings());
  const tame = random(2) === 0;
  const steps = 1 + random(40);
  for (let step = 0; step < steps && !peer.far.destroyed; step++) {
    if (random(20) === 0) peer.far.stalled = !peer.far.stalled;
    const said = utterance(peer, random, next, tame);
    await peer.say(tame ? said : mutate(said, random));
    if (random(10) === 0) await peer.clock.advance(random(3000));
    if (peer.far.waitingBytes > 8_000_000) throw new Error(`seed ${seed}: ${peer.far.waitingBytes} bytes wait`);
  }
  peer.far.flow();
  await peer.clock.advance(5000);
  const alive = peer.server.connectionCount > 0;
  // Long enough for every limit of time: a connection stuck in half a frame is dropped.
  await peer.clock.advance(130_000);
  peer.near.destroy();
  await peer.clock.settle();
  if (peer.server.connectionCount > 0) throw new Error(`seed ${seed}: the connection outlives its client`);
  await peer.clock.advance(200_000);
  if (peer.clock.pendingTimers > 0) throw new Error(`seed ${seed}: ${peer.clock.pendingTimers} timers left`);
  let calls = 0;
  for (const { started, handled, method } of peer.server.methods) {
    const ended = handled.reduce((sum, count) => sum + count, 0);
    if (started > ended) throw new Error(`seed ${seed}: ${started} calls of ${method} started, ${ended} ended`);
    calls += started;
  }
  return { alive, calls };
}
