/**
 * `etcdserverpb.KV` through the proxy: keys in the namespace, serializable reads from the cache, and, if wished, no
 * answer that is older than one before.
 *
 * @see etcd server/proxy/grpcproxy/kv.go, client/v3/ordering
 */
import type { GrpcServer } from "../../grpc/server.ts";
import { GrpcError } from "../../grpc/status.ts";
import { Code, EtcdError } from "../../wire/errors.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import type { MessageFns } from "../../wire/gen/etcdserverpb/rpc.ts";
import { answering } from "./forward.ts";
import type { KeyRange } from "./key-range.ts";
import { messageBytes, readMessage, refusing } from "./messages.ts";
import type { Namespace } from "./namespace.ts";
import type { RangeCache } from "./range-cache.ts";
import { callerKey, nobody, type Caller, type Upstream } from "./upstream.ts";

/** How often each member may answer with something older before the read fails. */
const staleAnswersMax = 5;
const noGreaterRevision = "etcdclient: no cluster members have a revision higher than the previously received revision";

const emptyEnd = new Uint8Array(0);

export interface KvOptions {
  readonly namespace: Namespace | undefined;
  /** `--experimental-serializable-ordering`. */
  readonly keepsOrder: boolean;
  readonly cache: RangeCache;
}

/** A request and its response as they are sent to a member. */
interface Procedure<Request, Response> {
  readonly path: string;
  readonly request: MessageFns<Request>;
  readonly response: MessageFns<Response>;
  outward(namespace: Namespace, request: Request): Request;
  inward(namespace: Namespace, response: Response): Response;
}

const procedures = {
  range: {
    path: "/etcdserverpb.KV/Range",
    request: rpc.RangeRequest,
    response: rpc.RangeResponse,
    outward: (namespace: Namespace, request: rpc.RangeRequest) => namespace.range(request),
    inward: (namespace: Namespace, response: rpc.RangeResponse) => namespace.rangeResponse(response),
  },
  put: {
    path: "/etcdserverpb.KV/Put",
    request: rpc.PutRequest,
    response: rpc.PutResponse,
    outward: (namespace: Namespace, request: rpc.PutRequest) => namespace.put(request),
    inward: (namespace: Namespace, response: rpc.PutResponse) => namespace.putResponse(response),
  },
  deleteRange: {
    path: "/etcdserverpb.KV/DeleteRange",
    request: rpc.DeleteRangeRequest,
    response: rpc.DeleteRangeResponse,
    outward: (namespace: Namespace, request: rpc.DeleteRangeRequest) => namespace.range(request),
    inward: (namespace: Namespace, response: rpc.DeleteRangeResponse) => namespace.deleteResponse(response),
  },
  txn: {
    path: "/etcdserverpb.KV/Txn",
    request: rpc.TxnRequest,
    response: rpc.TxnResponse,
    outward: (namespace: Namespace, request: rpc.TxnRequest) => namespace.txn(request),
    inward: (namespace: Namespace, response: rpc.TxnResponse) => namespace.txnResponse(response),
  },
} as const;

const compactPath = "/etcdserverpb.KV/Compact";

export class KvProxy {
  readonly #upstream: Pick<Upstream, "unary" | "endpoints">;
  readonly #options: KvOptions;
  /** Newest revision that any answer showed, where order is kept. */
  #seenRevision = 0n;

  constructor(upstream: Pick<Upstream, "unary" | "endpoints">, options: KvOptions) {
    this.#upstream = upstream;
    this.#options = options;
  }

  register(server: Pick<GrpcServer, "unary">): void {
    const { range, put, deleteRange, txn } = procedures;
    server.unary(
      range.path,
      answering((bytes, caller) => this.#range(bytes, caller)),
    );
    server.unary(
      put.path,
      answering((bytes, caller) => this.#write(put, bytes, caller, ({ key }) => [{ key, rangeEnd: emptyEnd }])),
    );
    server.unary(
      deleteRange.path,
      answering((bytes, caller) => this.#write(deleteRange, bytes, caller, (request) => [request])),
    );
    server.unary(
      txn.path,
      answering((bytes, caller) => this.#write(txn, bytes, caller, touchedBy)),
    );
    server.unary(
      compactPath,
      answering(async (bytes, caller) => {
        const { revision } = readMessage(rpc.CompactionRequest, bytes);
        const response = await this.#upstream.unary(compactPath, bytes, caller);
        this.#options.cache.compacted(revision);
        return response;
      }),
    );
  }

  /** Whether the members answer: a linearizable read of the proxy itself. Rejects as the read does. */
  async probe(timeoutMs: number, now: number): Promise<void> {
    const request = rpc.RangeRequest.fromPartial({ key: Buffer.from("a"), keysOnly: true });
    await this.#send(procedures.range, request, undefined, { ...nobody, deadline: now + timeoutMs });
  }

  async #range(bytes: Uint8Array, caller: Caller): Promise<Uint8Array> {
    const { cache } = this.#options;
    const request = readMessage(rpc.RangeRequest, bytes);
    // Whom it may be shown to is the members' decision: only the same caller gets an answer again.
    const id = callerKey(caller) + cacheKey(request);
    if (request.serializable) {
      if (cache.isCompacted(request.revision)) throw new EtcdError("compacted");
      const known = cache.find(id, this.#seenRevision);
      if (known !== undefined) return known;
    }
    const read = cache.begin(id, request, request.revision);
    try {
      const response = await this.#send(procedures.range, request, bytes, caller);
      const { header } = rpc.RangeResponse.decode(response);
      cache.keep(read, response, header?.revision ?? 0n);
      return response;
    } catch (error) {
      cache.forget(read);
      throw error;
    }
  }

  async #write<Request, Response extends Headed>(
    procedure: Procedure<Request, Response>,
    bytes: Uint8Array,
    caller: Caller,
    touched: (request: Request) => readonly KeyRange[],
  ): Promise<Uint8Array> {
    const request = readMessage(procedure.request, bytes);
    const ranges = refusing(() => touched(request));
    const invalidate = (): void => {
      for (const range of ranges) this.#options.cache.invalidate(range);
    };
    invalidate();
    try {
      return await this.#send(procedure, request, bytes, caller);
    } finally {
      // It may have been done even if it failed.
      invalidate();
    }
  }

  /** @param bytes - of the request, sent as they are when nothing in it is changed. */
  async #send<Request, Response extends Headed>(
    procedure: Procedure<Request, Response>,
    request: Request,
    bytes: Uint8Array | undefined,
    caller: Caller,
  ): Promise<Uint8Array> {
    const { namespace, keepsOrder } = this.#options;
    const outward = namespace === undefined ? request : refusing(() => procedure.outward(namespace, request));
    const sent = namespace === undefined && bytes !== undefined ? bytes : messageBytes(procedure.request, outward);
    for (let stale = 0; ; stale++) {
      const seen = this.#seenRevision;
      const received = await this.#upstream.unary(procedure.path, sent, caller);
      if (namespace === undefined && !keepsOrder) return received;
      const response = procedure.response.decode(received);
      const shown = response.header?.revision ?? 0n;
      if (keepsOrder && shown < seen) {
        // The next attempt goes to the next member.
        if (stale < staleAnswersMax * this.#upstream.endpoints.length) continue;
        throw new GrpcError(Code.Unknown, noGreaterRevision);
      }
      if (keepsOrder && shown > this.#seenRevision) this.#seenRevision = shown;
      return namespace === undefined
        ? received
        : messageBytes(procedure.response, procedure.inward(namespace, response));
    }
  }
}

interface Headed {
  readonly header: rpc.ResponseHeader | undefined;
}

/** The same for a read whichever way it is to be made. */
function cacheKey(request: rpc.RangeRequest): string {
  const bytes = messageBytes(rpc.RangeRequest, { ...request, serializable: true });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** All that a transaction may write, and what it compares: it may know that a cached answer is old. */
function touchedBy({ compare, success, failure }: rpc.TxnRequest): KeyRange[] {
  const ranges: KeyRange[] = [...compare];
  for (const { requestPut, requestDeleteRange, requestTxn } of [...success, ...failure]) {
    if (requestPut !== undefined) ranges.push({ key: requestPut.key, rangeEnd: emptyEnd });
    if (requestDeleteRange !== undefined) ranges.push(requestDeleteRange);
    if (requestTxn !== undefined) ranges.push(...touchedBy(requestTxn));
  }
  return ranges;
}
