/**
 * The warning of an entry that took long to apply, as etcd words it: with the request (values by their size only) and
 * the size of the answer. Source: etcd server/etcdserver/txn/util.go, api/etcdserverpb/raft_internal_stringer.go.
 */
import { formatDuration } from "../../base/duration.ts";
import type { Logger } from "../../platform/logger.ts";
import type { EtcdError } from "../../wire/errors.ts";
import { sizeOfDeleteRangeResponse, sizeOfPutResponse } from "../../wire/hot/kv-responses.ts";
import { sizeOfTxnResponse } from "../../wire/hot/txn-response.ts";
import { type Entry, EntryType } from "../../wire/raft/types.ts";
import { deleteRangeText, putText, txnText } from "../services/request-text.ts";
import { decodeEntryRequest, type EntryRequest } from "./entry-request.ts";
import type { ApplyResult } from "./result.ts";

export interface SlowApply {
  readonly tookMs: number;
  /** `--warning-apply-duration`. */
  readonly expectedMs: number;
  readonly entry: Entry;
  readonly result: ApplyResult | undefined;
  readonly error: EtcdError | undefined;
}

export function warnOfSlowApply(log: Logger, { tookMs, expectedMs, entry, result, error }: SlowApply): void {
  log.warn("apply request took too long", {
    took: formatDuration(tookMs),
    "expected-duration": formatDuration(expectedMs),
    prefix: "",
    request: entryText(entry),
    response: result === undefined ? "" : sizeText(result),
    ...(error === undefined ? {} : { error: error.message }),
  });
}

function entryText(entry: Entry): string {
  if (entry.type !== EntryType.Normal) return "configuration change";
  if (entry.data.length === 0) return "";
  const request = decodeEntryRequest(entry.data);
  return request.kind === "old" ? "" : `header:<${headerText(request)}> ${bodyText(request)}`;
}

function headerText(request: Exclude<EntryRequest, { kind: "old" }>): string {
  const username = request.username === "" ? "" : `username:"${request.username}" `;
  const revision = request.authRevision === 0n ? "" : `auth_revision:${request.authRevision} `;
  return `ID:${request.id} ${username}${revision}`;
}

function bodyText(request: EntryRequest): string {
  switch (request.kind) {
    case "put":
      return `put:<${putText({ ...request.put, valueBytes: request.put.value.length })}>`;
    case "deleteRange":
      return `delete_range:<${deleteRangeText(request.deleteRange)}>`;
    case "txn":
      return `txn:<${txnText(request.txn)}>`;
    case "compaction":
      return `compaction:<revision:${request.compaction.revision} >`;
    case "leaseGrant":
      return `lease_grant:<ttl:${request.leaseGrant.TTL}-second id:${hex(request.leaseGrant.ID)}>`;
    case "leaseRevoke":
      return `lease_revoke:<id:${hex(request.leaseRevoke.ID)}>`;
    default:
      // Small requests, some with secrets: the name says enough.
      return `${request.kind.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}:<>`;
  }
}

function hex(leaseId: bigint): string {
  return BigInt.asUintN(64, leaseId).toString(16).padStart(16, "0");
}

/** Of the answer to a change of keys, whose header holds only a revision at this point. */
function sizeText(result: ApplyResult): string {
  switch (result.kind) {
    case "put":
      return `size:${sizeOfPutResponse(result.response, revisionHeader(result.revision))}`;
    case "deleteRange":
      return `size:${sizeOfDeleteRangeResponse(result.response, revisionHeader(result.revision))}`;
    case "txn":
      return `size:${sizeOfTxnResponse(result.response, revisionHeader(result.revision))}`;
    default:
      return "";
  }
}

/** As long as a header with this revision: field tag, length, tag of the revision, revision. */
function revisionHeader(revision: number): Uint8Array {
  let varintBytes = 1;
  for (let rest = revision; rest >= 0x80; rest = Math.floor(rest / 0x80)) varintBytes++;
  return new Uint8Array(3 + varintBytes);
}
