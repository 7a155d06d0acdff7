/** `"Name" : value` lines; strings are quoted as Go quotes them, so that any bytes can be read back. */
import type { ResponseHeader, ResponseOp } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type KeyValue } from "../../../wire/gen/mvccpb/kv.ts";
import { Permission_Type } from "../../../wire/gen/authpb/auth.ts";
import { hex, hex16 } from "../../shared/go-number.ts";
import { quote, quoteBytes } from "../../shared/go-quote.ts";
import type { AnswerKind, Answers } from "../answers.ts";
import type { Page } from "./page.ts";
import { alarmName } from "./simple.ts";

/** Kinds without an entry have no fields form, as in etcdctl. */
type FieldForms = { readonly [Kind in AnswerKind]?: (answer: Answers[Kind], page: Page) => void };

const headerOnly = ({ response }: { response: { header: ResponseHeader | undefined } }, page: Page) =>
  printHeader(response.header, page);

export const fieldForms = {
  get: ({ response }, page) => {
    printHeader(response.header, page);
    for (const pair of response.kvs) printPair("", pair, page);
    page.line(`"More" : ${response.more}`);
    page.line(`"Count" : ${response.count}`);
  },
  put: ({ response }, page) => {
    printHeader(response.header, page);
    if (response.prevKv !== undefined) printPair("Prev", response.prevKv, page);
  },
  delete: ({ response }, page) => {
    printHeader(response.header, page);
    page.line(`"Deleted" : ${response.deleted}`);
    for (const pair of response.prevKvs) printPair("Prev", pair, page);
  },
  txn: ({ response }, page) => {
    printHeader(response.header, page);
    page.line(`"Succeeded" : ${response.succeeded}`);
    for (const operation of response.responses) printOperation(operation, page);
  },
  watch: ({ response }, page) => {
    printHeader(response.header, page);
    for (const event of response.events) {
      page.line(`"Type" : ${event.type === Event_EventType.DELETE ? "DELETE" : "PUT"}`);
      if (event.prevKv !== undefined) printPair("Prev", event.prevKv, page);
      if (event.kv !== undefined) printPair("", event.kv, page);
    }
  },
  leaseGrant: printLease,
  leaseRevoke: headerOnly,
  leaseKeepAlive: printLease,
  leaseTimeToLive: ({ response }, page) => {
    printLease({ response }, page);
    page.line(`"GrantedTTL" : ${response.grantedTTL}`);
    for (const key of response.keys) page.line(`"Key" : ${quoteBytes(key)}`);
  },
  leaseList: ({ response }, page) => {
    printHeader(response.header, page);
    for (const lease of response.leases) page.line(`"ID" : ${leaseText(lease.ID, page)}`);
  },
  memberList: ({ response }, page) => {
    printHeader(response.header, page);
    for (const member of response.members) {
      page.line(`"ID" : ${idText(member.ID, page)}`);
      page.line(`"Name" : ${quote(member.name)}`);
      for (const url of member.peerURLs) page.line(`"PeerURL" : ${quote(url)}`);
      for (const url of member.clientURLs) page.line(`"ClientURL" : ${quote(url)}`);
      page.line(`"IsLearner" : ${member.isLearner}`);
      page.line("");
    }
  },
  endpointHealth: ({ response }, page) => {
    for (const { endpoint, healthy, took, error } of response) {
      page.line(`"Endpoint" : ${quote(endpoint)}`);
      page.line(`"Health" : ${healthy}`);
      page.line(`"Took" : ${took}`);
      page.line(`"Error" : ${error}`);
      page.line("");
    }
  },
  endpointStatus: ({ response }, page) => {
    for (const { endpoint, status } of response) {
      printHeader(status.header, page);
      page.line(`"Version" : ${quote(status.version)}`);
      page.line(`"StorageVersion" : ${quote(status.storageVersion)}`);
      page.line(`"DBSize" : ${status.dbSize}`);
      page.line(`"DBSizeInUse" : ${status.dbSizeInUse}`);
      page.line(`"DBSizeQuota" : ${status.dbSizeQuota}`);
      page.line(`"Leader" : ${status.leader}`);
      page.line(`"IsLearner" : ${status.isLearner}`);
      page.line(`"RaftIndex" : ${status.raftIndex}`);
      page.line(`"RaftTerm" : ${status.raftTerm}`);
      page.line(`"RaftAppliedIndex" : ${status.raftAppliedIndex}`);
      page.line(`"Errors" : [${status.errors.join(" ")}]`);
      page.line(`"Endpoint" : ${quote(endpoint)}`);
      page.line(`"DowngradeTargetVersion" : ${quote(status.downgradeInfo?.targetVersion ?? "")}`);
      page.line(`"DowngradeEnabled" : ${status.downgradeInfo?.enabled ?? false}`);
      page.line("");
    }
  },
  endpointHash: ({ response }, page) => {
    for (const { endpoint, hash } of response) {
      printHeader(hash.header, page);
      page.line(`"Endpoint" : ${quote(endpoint)}`);
      page.line(`"Hash" : ${hash.hash}`);
      page.line(`"HashRevision" : ${hash.hashRevision}`);
      page.line("");
    }
  },
  alarm: ({ response }, page) => {
    printHeader(response.header, page);
    for (const { memberID, alarm } of response.alarms) {
      page.line(`"MemberID" : ${idText(memberID, page)}`);
      page.line(`"AlarmType" : ${alarmName(alarm)}`);
      page.line("");
    }
  },
  roleAdd: headerOnly,
  roleGet: ({ response }, page) => {
    printHeader(response.header, page);
    for (const { permType, key, rangeEnd } of response.perm) {
      page.line(`"PermType" :  ${permissionName(permType)}`);
      page.line(`"Key" : ${quoteBytes(key)}`);
      page.line(`"RangeEnd" : ${quoteBytes(rangeEnd)}`);
    }
  },
  roleDelete: headerOnly,
  roleList: ({ response }, page) => {
    printHeader(response.header, page);
    page.line(`"Roles" :${response.roles.map((role) => ` ${quote(role)}`).join("")}`);
  },
  roleGrantPermission: headerOnly,
  roleRevokePermission: headerOnly,
  userAdd: headerOnly,
  userChangePassword: headerOnly,
  userGrantRole: headerOnly,
  userRevokeRole: headerOnly,
  userDelete: headerOnly,
} satisfies FieldForms;

/** An absent header (alarm disarm with no alarm; etcdctl crashes there) prints nothing. */
function printHeader(header: ResponseHeader | undefined, page: Page): void {
  if (header === undefined) return;
  page.line(`"ClusterID" : ${idText(header.clusterId, page)}`);
  page.line(`"MemberID" : ${idText(header.memberId, page)}`);
  if (header.revision > 0n) page.line(`"Revision" : ${header.revision}`);
  page.line(`"RaftTerm" : ${header.raftTerm}`);
}

function printPair(prefix: string, pair: KeyValue, page: Page): void {
  page.line(`"${prefix}Key" : ${quoteBytes(pair.key)}`);
  page.line(`"${prefix}CreateRevision" : ${pair.createRevision}`);
  page.line(`"${prefix}ModRevision" : ${pair.modRevision}`);
  page.line(`"${prefix}Version" : ${pair.version}`);
  page.line(`"${prefix}Value" : ${quoteBytes(pair.value)}`);
  page.line(`"${prefix}Lease" : ${leaseText(pair.lease, page)}`);
}

function printOperation(operation: ResponseOp, page: Page): void {
  if (operation.responseRange !== undefined) fieldForms.get({ response: operation.responseRange }, page);
  else if (operation.responsePut !== undefined) fieldForms.put({ response: operation.responsePut }, page);
  else if (operation.responseDeleteRange !== undefined)
    fieldForms.delete({ response: operation.responseDeleteRange }, page);
}

function printLease(
  { response }: { response: { header: ResponseHeader | undefined; ID: bigint; TTL: bigint } },
  page: Page,
): void {
  printHeader(response.header, page);
  page.line(`"ID" : ${leaseText(response.ID, page)}`);
  page.line(`"TTL" : ${response.TTL}`);
}

function idText(id: bigint, page: Page): string {
  return page.hex ? hex(id) : String(id);
}

function leaseText(id: bigint, page: Page): string {
  return page.hex ? hex16(id) : String(id);
}

function permissionName(type: Permission_Type): string {
  if (type === Permission_Type.READ) return "READ";
  return type === Permission_Type.WRITE ? "WRITE" : "READWRITE";
}
