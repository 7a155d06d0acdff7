/**
 * Watches of one client on one stream. When the stream is lost they are opened again from the revision behind the last
 * one that was delivered, so that a watcher sees every event once and in order.
 *
 * Creation is one at a time, as the server's answer to a creation that it refuses carries no id to tell it by.
 */
import { Code } from "../wire/errors.ts";
import { WatchResponse, type WatchCreateRequest, type WatchRequest } from "../wire/gen/etcdserverpb/rpc.ts";
import type { Client, Fields, MessageStream } from "./client.ts";
import { ClientError, clientError } from "./client-error.ts";
import { methods } from "./methods.ts";

/** Pause before a lost stream is opened again. */
const reopenMs = 100;

/** What a watch is given: events, progress notifications and, last, the response that cancelled it. */
export interface WatchHandlers {
  response(response: WatchResponse): void;
  /** Exactly once. `error` when the server refused or ended the watch, with the text that Go's client prints. */
  closed(error: ClientError | undefined): void;
}

/** A watch that is asked for or running. */
export interface Watch {
  cancel(): void;
}

interface Entry {
  readonly request: Fields<WatchCreateRequest>;
  readonly handlers: WatchHandlers;
  /** Where the watch goes on after a lost stream; 0 until the server has said where it began. */
  nextRevision: bigint;
  /** The server's id; undefined while the creation is not answered. */
  id: bigint | undefined;
}

export class Watcher {
  readonly #client: Client;
  #stream: MessageStream<WatchRequest, WatchResponse> | undefined;
  /** Waiting for their creation; the first one has been asked for. */
  #pending: Entry[] = [];
  readonly #running = new Map<bigint, Entry>();
  #isOpening = false;
  #isClosed = false;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @param request - `startRevision` 0 = from now on. */
  watch(request: Fields<WatchCreateRequest>, handlers: WatchHandlers): Watch {
    const entry: Entry = { request, handlers, nextRevision: request.startRevision ?? 0n, id: undefined };
    this.#enqueue(entry);
    return { cancel: () => this.#cancel(entry) };
  }

  /** Asks the server to tell all watches how far it is. */
  async requestProgress(): Promise<void> {
    await this.#stream?.send({ progressRequest: {} });
  }

  close(): void {
    this.#isClosed = true;
    this.#stream?.cancel();
  }

  #enqueue(entry: Entry): void {
    this.#pending.push(entry);
    if (this.#stream === undefined) void this.#open();
    else if (this.#pending.length === 1) this.#createNext();
  }

  #cancel(entry: Entry): void {
    this.#pending = this.#pending.filter((other) => other !== entry);
    if (entry.id !== undefined && this.#running.delete(entry.id)) {
      this.#send({ cancelRequest: { watchId: entry.id } });
    }
    entry.handlers.closed(undefined);
  }

  async #open(): Promise<void> {
    if (this.#isOpening || this.#isClosed) return;
    this.#isOpening = true;
    try {
      this.#stream = await this.#client.open(methods.watch, { requireLeader: true });
    } catch (error) {
      this.#fail(clientError(error));
      return;
    } finally {
      this.#isOpening = false;
    }
    this.#createNext();
    await this.#read(this.#stream);
  }

  #createNext(): void {
    const [entry] = this.#pending;
    if (entry === undefined) return;
    this.#send({ createRequest: { ...emptyCreate, ...entry.request, startRevision: entry.nextRevision } });
  }

  /** A send that fails is the stream's loss, which the reading side handles. */
  #send(request: Fields<WatchRequest>): void {
    this.#stream?.send(request).catch(() => undefined);
  }

  async #read(stream: MessageStream<WatchRequest, WatchResponse>): Promise<void> {
    try {
      for await (const response of stream) this.#dispatch(response);
      this.#reopen();
    } catch (error) {
      const reason = clientError(error);
      if (this.#isClosed) return;
      if (isTransient(reason)) this.#reopen();
      else this.#fail(reason);
    }
  }

  #dispatch(response: WatchResponse): void {
    if (response.created) this.#created(response);
    else if (response.watchId === -1n) for (const entry of this.#running.values()) entry.handlers.response(response);
    else {
      const entry = this.#running.get(response.watchId);
      if (entry === undefined) return; // cancelled by us, answers were on their way
      const last = response.events.at(-1)?.kv?.modRevision;
      if (last !== undefined) entry.nextRevision = last + 1n;
      else if (!response.canceled)
        entry.nextRevision = maxRevision(entry.nextRevision, (response.header?.revision ?? 0n) + 1n);
      if (response.canceled) this.#ended(entry, response);
      else entry.handlers.response(response);
    }
  }

  #created(response: WatchResponse): void {
    const entry = this.#pending.shift();
    if (entry === undefined) return;
    if (response.canceled) this.#ended(entry, response);
    else {
      entry.id = response.watchId;
      if (entry.nextRevision === 0n) entry.nextRevision = (response.header?.revision ?? 0n) + 1n;
      this.#running.set(response.watchId, entry);
    }
    this.#createNext();
  }

  #ended(entry: Entry, response: WatchResponse): void {
    if (entry.id !== undefined) this.#running.delete(entry.id);
    entry.handlers.response({ ...response, created: false });
    entry.handlers.closed(cancelError(response));
  }

  /** Every watch starts over at its next revision. */
  #reopen(): void {
    this.#stream = undefined;
    if (this.#isClosed) return;
    const lost = [...this.#running.values()];
    for (const entry of lost) entry.id = undefined;
    this.#running.clear();
    this.#pending = [...lost, ...this.#pending];
    if (this.#pending.length > 0) this.#client.channel.clock.setTimer(() => void this.#open(), reopenMs);
  }

  #fail(error: ClientError): void {
    this.#stream = undefined;
    const entries = [...this.#running.values(), ...this.#pending];
    this.#running.clear();
    this.#pending = [];
    for (const entry of entries) {
      entry.handlers.response({ ...WatchResponse.create(), canceled: true });
      entry.handlers.closed(error);
    }
  }
}

const emptyCreate: WatchCreateRequest = {
  key: new Uint8Array(0),
  rangeEnd: new Uint8Array(0),
  startRevision: 0n,
  progressNotify: false,
  filters: [],
  prevKv: false,
  watchId: 0n,
  fragment: false,
};

/** A loss that a new stream can repair; anything else ends the watches. */
function isTransient(error: ClientError): boolean {
  return error.code === Code.Unavailable || error.code === Code.Internal;
}

function cancelError(response: WatchResponse): ClientError {
  const compacted = "etcdserver: mvcc: required revision has been compacted";
  const text = response.compactRevision !== 0n ? compacted : response.cancelReason;
  return new ClientError(Code.FailedPrecondition, text, text);
}

function maxRevision(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
