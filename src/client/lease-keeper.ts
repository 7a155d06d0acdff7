/** Keeps a lease alive: a request every third of its TTL, on a stream that is opened again when it is lost. */
import type { Timer } from "../platform/clock.ts";
import { Code, reasons } from "../wire/errors.ts";
import type { LeaseKeepAliveRequest, LeaseKeepAliveResponse } from "../wire/gen/etcdserverpb/rpc.ts";
import type { Client, MessageStream } from "./client.ts";
import { ClientError, clientError } from "./client-error.ts";
import { methods } from "./methods.ts";

/** Pause before a lost stream is opened again. */
const reopenMs = 500;

/** How long a lease may go without an answer before the first one came and told its TTL. */
const firstAnswerMs = 5000;

export interface LeaseHandlers {
  response(response: LeaseKeepAliveResponse): void;
  /** Exactly once: the lease expired, was revoked, or `stop` was called. */
  ended(): void;
}

/** Renews once, wherever it is possible. @throws {ClientError} `leaseNotFound` when there is no such lease. */
export async function keepAliveOnce(client: Client, leaseId: bigint): Promise<LeaseKeepAliveResponse> {
  for (;;) {
    try {
      return await renewOnce(client, leaseId);
    } catch (error) {
      const { code } = clientError(error);
      if (code !== Code.Unavailable && code !== Code.Internal) throw error;
      await new Promise<void>((resolve) => client.channel.clock.setTimer(resolve, reopenMs));
    }
  }
}

async function renewOnce(client: Client, leaseId: bigint): Promise<LeaseKeepAliveResponse> {
  const stream = await client.open(methods.leaseKeepAlive, { requireLeader: false });
  await stream.send({ ID: leaseId });
  for await (const response of stream) {
    stream.cancel();
    if (response.TTL > 0n) return response;
    break;
  }
  const { code, message } = reasons.leaseNotFound;
  throw new ClientError(code, message, message);
}

export class LeaseKeeper {
  readonly #client: Client;
  readonly #leaseId: bigint;
  readonly #handlers: LeaseHandlers;
  #stream: MessageStream<LeaseKeepAliveRequest, LeaseKeepAliveResponse> | undefined;
  #nextRequest: Timer | undefined;
  /** Monotonic milliseconds at which the lease is over unless an answer comes first. */
  #deadline: number;
  #isOver = false;

  private constructor(client: Client, leaseId: bigint, handlers: LeaseHandlers) {
    this.#client = client;
    this.#leaseId = leaseId;
    this.#handlers = handlers;
    this.#deadline = client.channel.clock.monotonic() + firstAnswerMs;
  }

  static start(client: Client, leaseId: bigint, handlers: LeaseHandlers): LeaseKeeper {
    const keeper = new LeaseKeeper(client, leaseId, handlers);
    void keeper.#run();
    return keeper;
  }

  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#nextRequest?.cancel();
    this.#stream?.cancel();
    this.#handlers.ended();
  }

  async #run(): Promise<void> {
    const { clock } = this.#client.channel;
    while (!this.#isOver) {
      try {
        const timeoutMs = Math.max(1, this.#deadline - clock.monotonic());
        await this.#converse(timeoutMs);
      } catch (error) {
        // Another stream may work; the lease is over when none did in time.
        clientError(error);
      }
      this.#nextRequest?.cancel();
      if (this.#isOver) return;
      if (clock.monotonic() >= this.#deadline) this.stop();
      else await new Promise<void>((resolve) => clock.setTimer(resolve, reopenMs));
    }
  }

  /** Renews on one stream until it is lost or the lease is over. */
  async #converse(connectMs: number): Promise<void> {
    const connection = this.#client.open(methods.leaseKeepAlive);
    const stream = await withTimeout(this.#client, connection, connectMs);
    this.#stream = stream;
    await stream.send({ ID: this.#leaseId });
    for await (const response of stream) {
      if (response.TTL <= 0n) {
        this.stop();
        return;
      }
      this.#answered(stream, response);
    }
  }

  #answered(
    stream: MessageStream<LeaseKeepAliveRequest, LeaseKeepAliveResponse>,
    response: LeaseKeepAliveResponse,
  ): void {
    const { clock } = this.#client.channel;
    const ttlMs = Number(response.TTL) * 1000;
    this.#deadline = clock.monotonic() + ttlMs;
    this.#handlers.response(response);
    this.#nextRequest?.cancel();
    this.#nextRequest = clock.setTimer(() => {
      stream.send({ ID: this.#leaseId }).catch(() => undefined); // the reading side sees the loss
    }, ttlMs / 3);
  }
}

async function withTimeout<Value>(client: Client, promise: Promise<Value>, timeoutMs: number): Promise<Value> {
  let timer: Timer | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = client.channel.clock.setTimer(() => reject(new Error("no connection in time")), timeoutMs);
  });
  try {
    return await Promise.race([promise, timeout]);
  } finally {
    timer?.cancel();
  }
}
