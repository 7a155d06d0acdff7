/** The few calls that tests make all the time, with strings in and out. Beyond them: {@link TestClient.call}. */
import { prefixEnd } from "../base/bytes.ts";
import { Client, type Fields } from "../client/client.ts";
import { LeaseKeeper } from "../client/lease-keeper.ts";
import { type Method, methods } from "../client/methods.ts";
import { Watcher } from "../client/watcher.ts";
import type { Platform } from "../platform/platform.ts";
import {
  Compare,
  Compare_CompareResult,
  Compare_CompareTarget,
  DeleteRangeRequest,
  PutRequest,
  type RequestOp,
} from "../wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type KeyValue } from "../wire/gen/mvccpb/kv.ts";

/** Longest that one call may take unless it says otherwise. */
const timeoutMs = 10_000;

/** A key's state at one revision. */
export interface Entry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: bigint;
  readonly modRevision: bigint;
  readonly version: bigint;
  /** 0n = none. */
  readonly lease: bigint;
}

export type Change =
  | { readonly type: "put"; readonly key: string; readonly value: string; readonly revision: bigint }
  | { readonly type: "delete"; readonly key: string; readonly revision: bigint };

export interface WatchOptions {
  /** All keys that begin with the key. */
  readonly prefix?: boolean;
  /** First revision to be told; from now on when left out. */
  readonly fromRevision?: bigint;
}

export interface TestClientOptions {
  readonly endpoints: readonly string[];
  readonly platform: Pick<Platform, "network" | "clock" | "random" | "log">;
}

export class TestClient {
  /** The client underneath: streams, options, credentials. */
  readonly raw: Client;

  constructor({ endpoints, platform }: TestClientOptions) {
    this.raw = new Client({
      ...platform,
      endpoints,
      dialTimeoutMs: 2_000,
      keepaliveTimeMs: 0,
      keepaliveTimeoutMs: 0,
      maxSendBytes: 0,
      maxReceiveBytes: 0,
    });
  }

  /** @returns the revision of the write. */
  async put(key: string, value: string, options: { readonly lease?: bigint } = {}): Promise<bigint> {
    const { header } = await this.call(methods.put, {
      key: bytes(key),
      value: bytes(value),
      lease: options.lease ?? 0n,
    });
    return header?.revision ?? 0n;
  }

  /** @returns undefined when the key is not there. */
  async get(key: string, options: { readonly revision?: bigint } = {}): Promise<string | undefined> {
    return (await this.entry(key, options))?.value;
  }

  /** The key with its revisions, version and lease. */
  async entry(key: string, options: { readonly revision?: bigint } = {}): Promise<Entry | undefined> {
    const { kvs } = await this.call(methods.range, { key: bytes(key), revision: options.revision ?? 0n });
    return kvs.length === 0 ? undefined : toEntry(kvs[0]);
  }

  /** All keys that begin with `prefix`, in order. */
  async list(prefix: string): Promise<Entry[]> {
    const { kvs } = await this.call(methods.range, { key: bytes(prefix), rangeEnd: prefixEnd(bytes(prefix)) });
    return kvs.map(toEntry);
  }

  /** @returns false when the key was not there. */
  async delete(key: string): Promise<boolean> {
    const { deleted } = await this.call(methods.deleteRange, { key: bytes(key) });
    return deleted > 0n;
  }

  /** Writes only when the key's last write was at `modRevision` (0n: only when it is not there). @returns whether it did. */
  async putIf(
    key: string,
    modRevision: bigint,
    value: string,
    options: { readonly lease?: bigint } = {},
  ): Promise<boolean> {
    const put = { ...PutRequest.create(), key: bytes(key), value: bytes(value), lease: options.lease ?? 0n };
    return this.#when(key, modRevision, { requestPut: put });
  }

  /** Deletes only when the key's last write was at `modRevision`. @returns whether it did. */
  async deleteIf(key: string, modRevision: bigint): Promise<boolean> {
    return this.#when(key, modRevision, { requestDeleteRange: { ...DeleteRangeRequest.create(), key: bytes(key) } });
  }

  /** @returns the id of a new lease. */
  async grant(ttlSeconds: number): Promise<bigint> {
    const { ID } = await this.call(methods.leaseGrant, { TTL: BigInt(ttlSeconds) });
    return ID;
  }

  async revoke(lease: bigint): Promise<void> {
    await this.call(methods.leaseRevoke, { ID: lease });
  }

  /** Renews a lease until the returned function is called. */
  keepAlive(lease: bigint): () => void {
    const keeper = LeaseKeeper.start(this.raw, lease, { response: () => undefined, ended: () => undefined });
    return () => keeper.stop();
  }

  /** Tells every change, once and in order, over lost connections too, until the returned function is called. */
  watch(key: string, told: (change: Change) => void, options: WatchOptions = {}): () => void {
    const watcher = new Watcher(this.raw);
    const range = { key: bytes(key), ...(options.prefix === true ? { rangeEnd: prefixEnd(bytes(key)) } : {}) };
    watcher.watch(
      { ...range, startRevision: options.fromRevision ?? 0n },
      {
        response({ events }) {
          for (const { type, kv } of events) if (kv !== undefined) told(toChange(type, kv));
        },
        closed: () => undefined,
      },
    );
    return () => watcher.close();
  }

  /** Any call of etcd's API. @throws {ClientError} with etcd's text. */
  call<Request, Response>(method: Method<Request, Response>, fields: Fields<Request>): Promise<Response> {
    return this.raw.call(method, fields, { timeoutMs });
  }

  close(): void {
    this.raw.close();
  }

  async #when(key: string, modRevision: bigint, operation: Partial<RequestOp>): Promise<boolean> {
    const compare = Compare.create({
      key: bytes(key),
      target: Compare_CompareTarget.MOD,
      result: Compare_CompareResult.EQUAL,
      modRevision,
    });
    const { succeeded } = await this.call(methods.txn, { compare: [compare], success: [operation], failure: [] });
    return succeeded;
  }
}

function bytes(text: string): Uint8Array {
  return Buffer.from(text);
}

function text(raw: Uint8Array): string {
  return Buffer.from(raw.buffer, raw.byteOffset, raw.length).toString();
}

function toEntry({ key, value, createRevision, modRevision, version, lease }: KeyValue): Entry {
  return { key: text(key), value: text(value), createRevision, modRevision, version, lease };
}

function toChange(type: Event_EventType, { key, value, modRevision: revision }: KeyValue): Change {
  if (type === Event_EventType.DELETE) return { type: "delete", key: text(key), revision };
  return { type: "put", key: text(key), value: text(value), revision };
}
