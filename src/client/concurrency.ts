/**
 * Locks and elections as etcd's client library builds them from leases, transactions and watches, key for key, so that
 * Go programs and ours contend with each other: every contender has the key `<name>/<lease id in hex>`, bound to its
 * session's lease, and the one with the lowest creation revision holds the lock.
 */
import { prefixEnd } from "../base/bytes.ts";
import {
  Compare_CompareResult,
  Compare_CompareTarget,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  RangeRequest,
  PutRequest,
  DeleteRangeRequest,
  type Compare,
  type RangeResponse,
  type RequestOp,
  type ResponseHeader,
  type TxnResponse,
} from "../wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type KeyValue } from "../wire/gen/mvccpb/kv.ts";
import type { Client, Fields } from "./client.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { methods } from "./methods.ts";
import { Watcher } from "./watcher.ts";

/** How long others wait after the death of a session whose time nobody chose. */
export const sessionTtlSeconds = 60;

/** A lease that is kept alive as long as the process lives. */
export class Session {
  readonly client: Client;
  readonly leaseId: bigint;
  /** Resolves when the lease is lost. */
  readonly expired: Promise<void>;
  readonly #keeper: LeaseKeeper;

  /** @param ttlSeconds - how long others wait after our death. */
  static async open(client: Client, ttlSeconds: number): Promise<Session> {
    const { ID } = await client.call(methods.leaseGrant, { TTL: BigInt(ttlSeconds) });
    return new Session(client, ID);
  }

  private constructor(client: Client, leaseId: bigint) {
    this.client = client;
    this.leaseId = leaseId;
    let ended = (): void => undefined;
    this.expired = new Promise((resolve) => {
      ended = resolve;
    });
    this.#keeper = LeaseKeeper.start(client, leaseId, { response: () => undefined, ended: () => ended() });
  }

  stop(): void {
    this.#keeper.stop();
  }
}

/** The key of one contender and the revision that orders it among the others. */
interface Claim {
  readonly key: Uint8Array;
  readonly createRevision: bigint;
  readonly header: ResponseHeader | undefined;
}

export class Mutex {
  readonly #session: Session;
  readonly #prefix: Uint8Array;
  #claim: Claim | undefined;

  constructor(session: Session, name: Uint8Array) {
    this.#session = session;
    this.#prefix = Buffer.concat([name, Buffer.from("/")]);
  }

  /** Our key, once {@link lock} was called. */
  get key(): Uint8Array {
    return this.#claim?.key ?? this.#prefix;
  }

  /** Store revision at which the lock was taken. */
  get revision(): bigint {
    return this.#claim?.header?.revision ?? 0n;
  }

  /** Waits until the lock is ours. @throws {ClientError}, or the reason of `signal` when it is aborted. */
  async lock(signal: AbortSignal): Promise<void> {
    const { client, leaseId } = this.#session;
    const key = contenderKey(this.#prefix, leaseId);
    const response = await client.call(
      methods.txn,
      {
        compare: [createRevisionIs(key, 0n)],
        success: [putOp(key, new Uint8Array(0), leaseId), rangeOp(firstCreated(this.#prefix))],
        failure: [rangeOp({ key }), rangeOp(firstCreated(this.#prefix))],
      },
      { signal },
    );
    const createRevision = claimedRevision(response);
    this.#claim = { key, createRevision, header: response.header };
    const owner = response.responses[1]?.responseRange?.kvs[0];
    if (owner === undefined || owner.createRevision === createRevision) return;
    try {
      await waitUntilFirst(client, this.#prefix, createRevision, signal);
      const own = await client.call(methods.range, { key }, { signal });
      if (own.kvs.length === 0) throw new Error("mutex: session is expired");
      this.#claim = { key, createRevision, header: own.header };
    } catch (error) {
      await this.unlock();
      throw error;
    }
  }

  async unlock(): Promise<void> {
    if (this.#claim === undefined) return;
    await this.#session.client.call(methods.deleteRange, { key: this.#claim.key });
    this.#claim = undefined;
  }
}

export class Election {
  readonly #session: Session;
  readonly #prefix: Uint8Array;
  #claim: Claim | undefined;

  constructor(session: Session, name: Uint8Array) {
    this.#session = session;
    this.#prefix = Buffer.concat([name, Buffer.from("/")]);
  }

  /** Our key, once {@link campaign} was called. */
  get key(): Uint8Array {
    return this.#claim?.key ?? this.#prefix;
  }

  /** Waits until we are the leader, with `proposal` as the value that observers see. */
  async campaign(proposal: Uint8Array, signal: AbortSignal): Promise<void> {
    const { client, leaseId } = this.#session;
    const key = contenderKey(this.#prefix, leaseId);
    const response = await client.call(
      methods.txn,
      {
        compare: [createRevisionIs(key, 0n)],
        success: [putOp(key, proposal, leaseId)],
        failure: [rangeOp({ key })],
      },
      { signal },
    );
    const createRevision = claimedRevision(response);
    this.#claim = { key, createRevision, header: response.header };
    try {
      await waitUntilFirst(client, this.#prefix, createRevision, signal);
    } catch (error) {
      if (signal.aborted) await this.resign();
      throw error;
    }
  }

  async resign(): Promise<void> {
    const claim = this.#claim;
    if (claim === undefined) return;
    this.#claim = undefined;
    await this.#session.client.call(methods.txn, {
      compare: [createRevisionIs(claim.key, claim.createRevision)],
      success: [{ requestDeleteRange: { ...DeleteRangeRequest.create(), key: claim.key } }],
    });
  }

  /** Tells the leader and every change of it, until `signal` is aborted. Returns when the observation is lost. */
  async observe(told: (leader: RangeResponse) => void, signal: AbortSignal): Promise<void> {
    const { client } = this.#session;
    const watcher = new Watcher(client);
    signal.addEventListener("abort", () => watcher.close());
    while (!signal.aborted) {
      const found = await client.call(methods.range, firstCreated(this.#prefix), { signal });
      const header = found.header ?? { clusterId: 0n, memberId: 0n, revision: 0n, raftTerm: 0n };
      let leader = found.kvs[0];
      let revision = header.revision;
      if (leader === undefined) {
        const range = { key: this.#prefix, rangeEnd: prefixEnd(this.#prefix) };
        const put = await firstEvent(watcher, { ...range, startRevision: revision }, Event_EventType.PUT, signal);
        if (put === undefined) return;
        leader = put;
        revision = put.modRevision;
      }
      told({ header: { ...header, revision }, kvs: [leader], more: false, count: 0n });
      const request = { key: leader.key, startRevision: revision + 1n };
      const deleted = await firstEvent(watcher, request, Event_EventType.DELETE, signal, (changed) =>
        told({ header, kvs: [changed], more: false, count: 0n }),
      );
      if (deleted === undefined) return;
    }
  }
}

function contenderKey(prefix: Uint8Array, leaseId: bigint): Uint8Array {
  return Buffer.concat([prefix, Buffer.from(leaseId.toString(16))]);
}

/** Revision that created our key: this transaction's, or an earlier one's of the same session. */
function claimedRevision(response: TxnResponse): bigint {
  if (response.succeeded) return response.header?.revision ?? 0n;
  return response.responses[0]?.responseRange?.kvs[0]?.createRevision ?? 0n;
}

/** Waits until no contender older than `createRevision` is left: for each the youngest of them, until it is gone. */
async function waitUntilFirst(
  client: Client,
  prefix: Uint8Array,
  createRevision: bigint,
  signal: AbortSignal,
): Promise<void> {
  const watcher = new Watcher(client);
  const close = (): void => watcher.close();
  signal.addEventListener("abort", close);
  try {
    for (;;) {
      const older = await client.call(
        methods.range,
        {
          key: prefix,
          rangeEnd: prefixEnd(prefix),
          sortTarget: RangeRequest_SortTarget.CREATE,
          sortOrder: RangeRequest_SortOrder.DESCEND,
          limit: 1n,
          maxCreateRevision: createRevision - 1n,
        },
        { signal },
      );
      const [last] = older.kvs;
      if (last === undefined) return;
      const request = { key: last.key, startRevision: older.header?.revision ?? 0n };
      const deleted = await firstEvent(watcher, request, Event_EventType.DELETE, signal);
      if (deleted === undefined) throw new Error("lost watcher waiting for delete");
    }
  } finally {
    signal.removeEventListener("abort", close);
    watcher.close();
  }
}

/** The first event of a type; `other` sees those of the other type before it. Undefined when the watch ended. */
function firstEvent(
  watcher: Watcher,
  request: { key: Uint8Array; rangeEnd?: Uint8Array; startRevision: bigint },
  type: Event_EventType,
  signal: AbortSignal,
  other: (pair: KeyValue) => void = () => undefined,
): Promise<KeyValue | undefined> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => reject(new Error("context canceled"));
    signal.addEventListener("abort", aborted, { once: true });
    let settled = false;
    const settle = (pair: KeyValue | undefined): void => {
      settled = true;
      signal.removeEventListener("abort", aborted);
      resolve(pair);
    };
    const watch = watcher.watch(request, {
      response({ events }) {
        for (const event of events) {
          if (settled || event.kv === undefined) continue;
          if (event.type === type) {
            settle(event.kv);
            watch.cancel();
          } else other(event.kv);
        }
      },
      closed: () => settle(undefined),
    });
  });
}

function firstCreated(prefix: Uint8Array): Fields<RangeRequest> {
  return {
    key: prefix,
    rangeEnd: prefixEnd(prefix),
    sortTarget: RangeRequest_SortTarget.CREATE,
    sortOrder: RangeRequest_SortOrder.ASCEND,
    limit: 1n,
  };
}

function createRevisionIs(key: Uint8Array, revision: bigint): Compare {
  return {
    result: Compare_CompareResult.EQUAL,
    target: Compare_CompareTarget.CREATE,
    key,
    createRevision: revision,
    rangeEnd: new Uint8Array(0),
  };
}

function putOp(key: Uint8Array, value: Uint8Array, lease: bigint): RequestOp {
  return { requestPut: { ...PutRequest.create(), key, value, lease } };
}

function rangeOp(fields: Fields<RangeRequest>): RequestOp {
  return { requestRange: { ...RangeRequest.create(), ...fields } };
}
