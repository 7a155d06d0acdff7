/**
 * Logs unary requests that took long (`--warning-unary-request-duration`), or all of them at level debug, with what they
 * asked and how much they moved; and reads that took longer than applying a request may (`--warning-apply-duration`),
 * the wait for the read index included, which etcd counts among the slow applies.
 *
 * @see etcd server/etcdserver/api/v3rpc/interceptor.go, `logUnaryRequestStats`; server/etcdserver/txn/util.go.
 */
import { formatDuration } from "../../base/duration.ts";
import type { HandledCall } from "../../grpc/calls.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Address } from "../../platform/network.ts";
import { decodeTxnRequest, encodeTxnRequest } from "../../wire/hot/txn-request.ts";
import type { DeleteRangeRequest, RangeRequest, RequestOp } from "../../wire/hot/types.ts";
import { deleteRangeText, putText, rangeText, txnText, type PutSummary } from "./request-text.ts";
import { isReadOnly } from "./txn-check.ts";

export interface RequestLogOptions {
  readonly log: Logger;
  readonly clock: Clock;
  /** Requests that take longer are logged at level warn. */
  readonly warnMs: number;
  /** Reads that take longer are logged at level warn, and counted. */
  readonly warnReadMs: number;
}

/** Counts and sizes as etcd reports them; -1 for requests that are not about keys. */
interface RequestStats {
  readonly requestCount: number;
  readonly requestBytes: number;
  readonly responseCount: number;
  readonly responseBytes: number;
  readonly content: string;
}

const otherRequest: RequestStats = {
  requestCount: -1,
  requestBytes: -1,
  responseCount: -1,
  responseBytes: -1,
  content: "",
};

export class RequestLog {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #warnMs: number;
  readonly #warnReadMs: number;
  readonly #logsAll: boolean;
  /** Reads that took longer than they should; only grows. */
  slowReads = 0;

  constructor({ log, clock, warnMs, warnReadMs }: RequestLogOptions) {
    this.#log = log.withCaller("server/services/request-log.ts");
    this.#clock = clock;
    this.#warnMs = warnMs;
    this.#warnReadMs = warnReadMs;
    this.#logsAll = log.enabled("debug");
  }

  /** For `GrpcServerOptions.onHandled`. */
  readonly onHandled = (call: HandledCall, _code: number, tookMs: number): void => {
    if (tookMs > this.#warnReadMs) this.#noteSlowRead(call, tookMs);
    if (tookMs <= this.#warnMs && !this.#logsAll) return;
    if (call.method.type === "unary") this.#write(call, tookMs);
  };

  #noteSlowRead(call: HandledCall, tookMs: number): void {
    const text = readText(call);
    if (text === undefined) return;
    this.slowReads++;
    this.#log.warn("apply request took too long", {
      took: formatDuration(tookMs),
      "expected-duration": formatDuration(this.#warnReadMs),
      ...text,
    });
  }

  #write(call: HandledCall, tookMs: number): void {
    const stats = statsOf(call);
    this.#log.log(this.#logsAll ? "debug" : "warn", "request stats", {
      "start time": startText(this.#clock.now() - tookMs),
      "time spent": formatDuration(tookMs),
      remote: addressText(call.remote),
      "response type": call.method.path,
      "request count": stats.requestCount,
      "request size": stats.requestBytes,
      "response count": stats.responseCount,
      "response size": stats.responseBytes,
      "request content": stats.content,
    });
  }
}

interface ReadText {
  readonly prefix: string;
  readonly request: string;
  readonly response: string;
}

/** Undefined when the call was no read, or left no note of what it asked. */
function readText({ method, request, response, responseBytes }: HandledCall): ReadText | undefined {
  if (request === undefined) return undefined;
  if (method.path === "/etcdserverpb.KV/Range") {
    const count = typeof response === "number" ? `range_response_count:${response} size:${responseBytes}` : "";
    return { prefix: "read-only range ", request: rangeText(request as RangeRequest), response: count };
  }
  if (method.path !== "/etcdserverpb.KV/Txn") return undefined;
  const txn = decodeTxnRequest(request as Uint8Array);
  if (!isReadOnly(txn)) return undefined;
  const size = response === undefined ? "" : `size:${responseBytes}`;
  return { prefix: "read-only txn ", request: txnText(txn), response: size };
}

function statsOf(call: HandledCall): RequestStats {
  const { requestBytes, responseBytes } = call;
  switch (call.method.path) {
    case "/etcdserverpb.KV/Range": {
      const request = call.request as RangeRequest | undefined;
      const content = request === undefined ? "" : rangeText(request);
      return { requestCount: 0, requestBytes, responseCount: countOf(call), responseBytes, content };
    }
    case "/etcdserverpb.KV/Put": {
      const request = call.request as PutSummary | undefined;
      const content = request === undefined ? "" : putText(request);
      return { requestCount: 1, requestBytes, responseCount: 0, responseBytes, content };
    }
    case "/etcdserverpb.KV/DeleteRange": {
      const request = call.request as DeleteRangeRequest | undefined;
      const content = request === undefined ? "" : deleteRangeText(request);
      return { requestCount: 0, requestBytes, responseCount: countOf(call), responseBytes, content };
    }
    case "/etcdserverpb.KV/Txn":
      return txnStats(call);
    default:
      return otherRequest;
  }
}

/** Keys found or deleted; the note of a range and of a delete. */
function countOf({ response }: HandledCall): number {
  return typeof response === "number" ? response : 0;
}

/** Of the operations of a transaction only those of the branch taken count. */
function txnStats({ request, response, responseBytes }: HandledCall): RequestStats {
  if (response === undefined || request === undefined) {
    return { requestCount: 0, requestBytes: 0, responseCount: 0, responseBytes, content: "" };
  }
  const txn = decodeTxnRequest(request as Uint8Array);
  const taken = response === true ? txn.success : txn.failure;
  let requestBytes = 0;
  for (const op of taken) requestBytes += opBytes(op);
  return { requestCount: taken.length, requestBytes, responseCount: 0, responseBytes, content: txnText(txn) };
}

/** Encoded size of one operation, without the tag and length that a transaction puts before it. */
function opBytes(op: RequestOp): number {
  const whole = encodeTxnRequest({ compare: [], success: [op], failure: [] });
  let lengthBytes = 1;
  while ((whole[lengthBytes] & 0x80) !== 0) lengthBytes++;
  return whole.length - 1 - lengthBytes;
}

function startText(epochMs: number): string {
  return new Date(epochMs).toISOString().replace("Z", "000Z");
}

function addressText(address: Address): string {
  if ("path" in address) return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}
