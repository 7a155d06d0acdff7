/** What a member on the minority side tells probes and clients: the same questions to members of ours and of Go. */
import { methods } from "../../src/client/methods.ts";
import type { Client, MessageStream } from "../../src/client/client.ts";
import { WatchCreateRequest, type WatchRequest, type WatchResponse } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, connect, put, withClient } from "./client.ts";
import { type ClusterMember, eventually, TestCluster } from "./cluster.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Lines sorted: Go lists its checks in another order each time. */
export async function page(member: ClusterMember, path: string): Promise<Answer> {
  const response = await fetch(member.endpoint + path);
  const lines = (await response.text()).trim().split("\n");
  return { status: response.status, body: lines.sort().join("\n") };
}

const healthPages = [
  "/health",
  "/health?serializable=true",
  "/livez",
  "/livez?verbose",
  "/readyz",
  "/readyz/non_learner",
];

/** Health pages before and after the quorum is lost, status, and what happens to calls and streams. */
export async function observeMinority(commands: readonly (string | undefined)[]): Promise<Record<string, unknown>> {
  const cluster = await TestCluster.found(commands);
  try {
    const [alone, ...others] = cluster.members;
    await withClient(alone.endpoint, (client) => put(client, "k", "v"));
    const healthy = await pages(alone);
    const client = connect(alone.endpoint);
    try {
      const guarded = await WatchStream.open(client, true);
      const patient = await WatchStream.open(client, false);
      for (const other of others) await other.kill();
      const ended = await outcome(guarded.next());
      await eventually("the leader is lost", async () => {
        if ((await alone.status()).leaderId !== 0n) throw new Error("there is still one");
      });
      const { header, leader, errors, raftIndex } = await client.call(methods.status, {});
      const key = bytes("k");
      return {
        healthy,
        alone: await pages(alone),
        status: { hasHeader: header?.memberId !== 0n, leader, errors, hasIndex: raftIndex > 0n },
        guardedStream: ended,
        guardedWrite: await outcome(client.call(methods.put, { key, value: key }, { requireLeader: true })),
        localRead: await outcome(client.call(methods.range, { key, serializable: true })),
        guardedWatch: await outcome(WatchStream.open(client, true)),
        otherStream: await Promise.race([outcome(patient.next()), later("open")]),
      };
    } finally {
      client.close();
    }
  } finally {
    await cluster.close();
  }
}

async function pages(member: ClusterMember): Promise<Record<string, Answer>> {
  const answers: Record<string, Answer> = {};
  for (const path of healthPages) answers[path] = await page(member, path);
  return answers;
}

/** A watch stream of its own, read one response after the other. */
class WatchStream {
  readonly #responses: AsyncIterator<WatchResponse>;

  private constructor(stream: MessageStream<WatchRequest, WatchResponse>) {
    this.#responses = stream[Symbol.asyncIterator]();
  }

  /** @throws {ClientError} by rejection when the stream or the watch is refused. */
  static async open(client: Client, requireLeader: boolean): Promise<WatchStream> {
    const stream = await client.open(methods.watch, { requireLeader });
    const opened = new WatchStream(stream);
    await stream.send({ createRequest: WatchCreateRequest.create({ key: bytes("k") }) });
    await opened.next();
    return opened;
  }

  async next(): Promise<string> {
    const { done } = await this.#responses.next();
    return done === true ? "ended" : "response";
  }
}

function outcome(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    (value) => (typeof value === "string" ? value : "answered"),
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}

/** The stream must not end on its own: a moment later it still has not. */
function later<T>(value: T): Promise<T> {
  return new Promise((resolve) => setTimeout(() => resolve(value), 500));
}
