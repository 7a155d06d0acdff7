/** Operations in one line each, for the stories that checkers tell. */
import type { KeyRange, KvRequest, Operation, Pair, Request, Result, WatchMessage } from "./history.ts";

export function describeOperation({ client, request, call, return: end, outcome, endpoint }: Operation): string {
  const times = `${call.toFixed(1)}..${end === null ? "?" : end.toFixed(1)}`;
  const at = endpoint === undefined ? "" : ` at ${endpoint}`;
  const what = describeRequest(request);
  if (outcome.kind === "ok") return `client ${client}${at} [${times}] ${what} -> ${describeResult(outcome.result)}`;
  return `client ${client}${at} [${times}] ${what} -> ${outcome.kind}: ${outcome.message}`;
}

export function describeRequest(request: Request): string {
  switch (request.kind) {
    case "range": {
      const at = request.revision ? ` @${request.revision}` : "";
      return `${request.isSerializable === true ? "get (serializable)" : "get"} ${describeRange(request)}${at}`;
    }
    case "put":
      return `put ${request.key}=${request.value}${request.lease === undefined ? "" : ` lease ${request.lease}`}`;
    case "delete":
      return `delete ${describeRange(request)}`;
    case "txn": {
      const compare = request.compare.map(({ key, target, is, to }) => `${target}(${key})${is}${to}`).join(" and ");
      const list = (requests: readonly KvRequest[]): string => requests.map(describeRequest).join("; ");
      return `if ${compare} then [${list(request.success)}] else [${list(request.failure)}]`;
    }
    case "compact":
      return `compact ${request.revision}`;
    case "leaseGrant":
      return `grant lease ${request.lease} for ${request.ttlSeconds} s`;
    case "leaseRevoke":
      return `revoke lease ${request.lease}`;
    case "leaseKeepAlive":
      return `keep lease ${request.lease} alive`;
  }
}

export function describeResult(result: Result): string {
  const revision = result.revision === 0 ? "" : ` (revision ${result.revision})`;
  switch (result.kind) {
    case "range":
      return `{${result.pairs.map(describePair).join(", ")}}${revision}`;
    case "put":
      return `done${revision}`;
    case "delete":
      return `${result.deleted} deleted${revision}`;
    case "txn":
      return `${result.succeeded ? "then" : "else"} [${result.responses.map(describeResult).join("; ")}]${revision}`;
    case "leaseKeepAlive":
      return `${result.ttlSeconds ?? 0} s left`;
    case "compact":
    case "leaseGrant":
    case "leaseRevoke":
      return "done";
  }
}

export function describePair({ key, value, modRevision, version }: Pair): string {
  return `${key}=${value}@${modRevision}v${version}`;
}

export function describeRange({ key, end }: KeyRange): string {
  return end === undefined || end === "" ? key : `[${key}, ${end === "\0" ? "∞" : end})`;
}

export function describeMessage(message: WatchMessage): string {
  const at = `[${message.at.toFixed(1)}]`;
  if (message.kind === "cancelled") return `${at} cancelled, compact revision ${message.compactRevision}`;
  if (message.kind !== "events") return `${at} ${message.kind} at revision ${message.revision}`;
  const events = message.events.map(({ type, key, value, modRevision }) =>
    type === "put" ? `put ${key}=${value ?? ""}@${modRevision}` : `delete ${key}@${modRevision}`,
  );
  return `${at} events at revision ${message.revision}: ${events.join(", ")}`;
}
