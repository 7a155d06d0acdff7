/**
 * A client that writes down what it does: carries out requests of a history over etcd's API and records call, return and
 * outcome. It works on any {@link Client}: on the virtual network, or on sockets to real processes.
 */
import type { Client } from "../../src/client/client.ts";
import { methods } from "../../src/client/methods.ts";
import type { WatchRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import type { KeyRange, Operation, Outcome, Request, Result, WatchMessage, WatchRecord } from "./history.ts";
import {
  fromDelete,
  fromPut,
  fromRange,
  fromTxn,
  outcomeOfError,
  toBytes,
  toPutMessage,
  toRangeMessage,
  toTxnMessage,
  toWatchMessage,
} from "./messages.ts";

/** Where all clients of a run write. */
export class Recording {
  readonly operations: Operation[] = [];
  readonly watches: WatchRecord[] = [];
  /** Told of every operation when it is over; for traces. */
  onOperation: ((operation: Operation) => void) | undefined;
  onWatchMessage: ((watch: WatchRecord, message: WatchMessage) => void) | undefined;
}

export interface RecorderOptions {
  readonly id: number;
  readonly client: Client;
  readonly recording: Recording;
  /** Milliseconds, the same clock for all clients of a recording. */
  readonly now: () => number;
  readonly timeoutMs: number;
}

export class RecordingClient {
  readonly id: number;
  readonly client: Client;
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions) {
    this.id = options.id;
    this.client = options.client;
    this.#options = options;
  }

  /** Carries `request` out. Never rejects: what goes wrong is an outcome. */
  async perform(request: Request): Promise<Outcome> {
    const { now, recording } = this.#options;
    const call = now();
    const pending: { -readonly [Name in keyof Operation]: Operation[Name] } = {
      client: this.id,
      request,
      call,
      return: null,
      outcome: { kind: "unknown", message: "no answer to the end" },
      endpoint: this.client.endpoints[0],
    };
    // Recorded at once: a run may end before the answer.
    recording.operations.push(pending);
    try {
      pending.outcome = { kind: "ok", result: await this.#execute(request) };
    } catch (error) {
      pending.outcome = outcomeOfError(error, request.kind === "leaseGrant" || request.kind === "leaseRevoke");
    }
    if (pending.outcome.kind !== "unknown") pending.return = now();
    recording.onOperation?.(pending);
    return pending.outcome;
  }

  async #execute(request: Request): Promise<Result> {
    const { client } = this;
    const options = { timeoutMs: this.#options.timeoutMs };
    switch (request.kind) {
      case "range":
        return fromRange(await client.call(methods.range, toRangeMessage(request), options));
      case "put":
        return fromPut(await client.call(methods.put, toPutMessage(request), options));
      case "delete": {
        const fields = { key: toBytes(request.key), rangeEnd: toBytes(request.end ?? "") };
        return fromDelete(await client.call(methods.deleteRange, fields, options));
      }
      case "txn":
        return fromTxn(await client.call(methods.txn, toTxnMessage(request), options));
      case "compact":
        await client.call(methods.compact, { revision: BigInt(request.revision), physical: false }, options);
        return { kind: "compact", revision: 0 };
      case "leaseGrant":
        await client.call(methods.leaseGrant, { ID: BigInt(request.lease), TTL: BigInt(request.ttlSeconds) }, options);
        return { kind: "leaseGrant", revision: 0 };
      case "leaseRevoke":
        await client.call(methods.leaseRevoke, { ID: BigInt(request.lease) }, options);
        return { kind: "leaseRevoke", revision: 0 };
      case "leaseKeepAlive":
        return { kind: "leaseKeepAlive", revision: 0, ttlSeconds: await this.#keepAlive(BigInt(request.lease)) };
    }
  }

  async #keepAlive(id: bigint): Promise<number> {
    const stream = await this.client.open(methods.leaseKeepAlive, { timeoutMs: this.#options.timeoutMs });
    await stream.send({ ID: id });
    stream.halfClose();
    for await (const { TTL } of stream) return Number(TTL);
    throw new Error("the stream ended without an answer");
  }

  /**
   * Opens one watch on a stream of its own and records what comes until the stream ends, for whatever reason.
   *
   * @returns the record, which grows as messages come, what ends it, and its end.
   */
  watch(range: KeyRange, options: { watcher: number; startRevision: number; withPrevious?: boolean }): RunningWatch {
    const { now, recording } = this.#options;
    const messages: WatchMessage[] = [];
    const record: WatchRecord = {
      client: this.id,
      ...range,
      ...options,
      call: now(),
      messages,
      endpoint: this.client.endpoints[0],
    };
    recording.watches.push(record);
    const controller = new AbortController();
    let requestProgress = (): void => undefined;
    const read = async (): Promise<void> => {
      const stream = await this.client.open(methods.watch, { signal: controller.signal, requireLeader: true });
      const send = (fields: Partial<WatchRequest>): void => void stream.send(fields).catch(() => undefined);
      send({
        createRequest: {
          key: toBytes(range.key),
          rangeEnd: toBytes(range.end ?? ""),
          startRevision: BigInt(options.startRevision),
          prevKv: options.withPrevious === true,
          progressNotify: true,
          filters: [],
          watchId: 0n,
          fragment: false,
        },
      });
      requestProgress = () => send({ progressRequest: {} });
      for await (const response of stream) {
        const message = toWatchMessage(response, now());
        messages.push(message);
        recording.onWatchMessage?.(record, message);
        if (message.kind === "cancelled") return;
      }
    };
    return {
      record,
      cancel: () => controller.abort(),
      requestProgress: () => requestProgress(),
      ended: read().catch(() => undefined),
    };
  }
}

export interface RunningWatch {
  readonly record: WatchRecord;
  cancel(): void;
  requestProgress(): void;
  /** The stream is over. */
  readonly ended: Promise<void>;
}

/** Where a watch goes on that ended: behind the last event or bookmark it was given. */
export function resumeRevision(record: WatchRecord): number {
  let next = record.startRevision;
  for (const message of record.messages) {
    if (message.kind === "created" && next === 0) next = message.revision + 1;
    else if (message.kind === "progress") next = Math.max(next, message.revision + 1);
    else if (message.kind === "events") next = (message.events.at(-1)?.modRevision ?? next - 1) + 1;
    else if (message.kind === "cancelled" && message.compactRevision > 0) next = message.compactRevision;
  }
  return next;
}
