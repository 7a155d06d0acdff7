/** The default form: what a person or a shell script wants to see, one thing a line. */
import { AlarmType, type ResponseOp } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type KeyValue } from "../../../wire/gen/mvccpb/kv.ts";
import { Permission_Type, type Permission } from "../../../wire/gen/authpb/auth.ts";
import { asBuffer, equalBytes, prefixEnd } from "../../../base/bytes.ts";
import { hex, hex16 } from "../../shared/go-number.ts";
import type { AnswerKind, Answers } from "../answers.ts";
import { hashRows, memberRows, statusRows, type Rows } from "./rows.ts";
import type { Page } from "./page.ts";

type SimpleForms = { readonly [Kind in AnswerKind]: (answer: Answers[Kind], page: Page) => void };

export const simpleForms: SimpleForms = {
  get: ({ response }, page) => {
    for (const pair of response.kvs) printPair(pair, page);
  },
  put: ({ response }, page) => {
    page.line("OK");
    if (response.prevKv !== undefined) printPair(response.prevKv, page);
  },
  delete: ({ response }, page) => {
    page.line(String(response.deleted));
    for (const pair of response.prevKvs) printPair(pair, page);
  },
  txn: ({ response }, page) => {
    page.line(response.succeeded ? "SUCCESS" : "FAILURE");
    for (const operation of response.responses) {
      page.line("");
      printOperation(operation, page);
    }
  },
  watch: ({ response }, page) => {
    for (const event of response.events) {
      page.line(event.type === Event_EventType.DELETE ? "DELETE" : "PUT");
      if (event.prevKv !== undefined) printPair(event.prevKv, page);
      if (event.kv !== undefined) printPair(event.kv, page);
    }
  },
  leaseGrant: ({ response }, page) => page.line(`lease ${hex16(response.ID)} granted with TTL(${response.TTL}s)`),
  leaseRevoke: ({ leaseId }, page) => page.line(`lease ${hex16(leaseId)} revoked`),
  leaseKeepAlive: ({ response }, page) => page.line(`lease ${hex16(response.ID)} keepalived with TTL(${response.TTL})`),
  leaseTimeToLive: ({ response, withKeys }, page) => {
    const lease = `lease ${hex16(response.ID)}`;
    if (response.grantedTTL === 0n && response.TTL === -1n) {
      page.line(`${lease} already expired`);
      return;
    }
    page.text(`${lease} granted with TTL(${response.grantedTTL}s), remaining(${response.TTL}s)`);
    if (withKeys) {
      page.text(", attached keys([");
      response.keys.forEach((key, index) => {
        if (index > 0) page.text(" ");
        page.bytes(key);
      });
      page.text("])");
    }
    page.line("");
  },
  leaseList: ({ response }, page) => {
    page.line(`found ${response.leases.length} leases`);
    for (const lease of response.leases) page.line(hex16(lease.ID));
  },
  memberAdd: ({ response }, page) => {
    const role = response.member?.isLearner === true ? " as learner " : " ";
    page.line(`Member ${hexWide(response.member?.ID)} added${role}to cluster ${hexWide(response.header?.clusterId)}`);
  },
  memberRemove: (answer, page) => printMemberChange("removed from", answer, page),
  memberUpdate: (answer, page) => printMemberChange("updated in", answer, page),
  memberPromote: (answer, page) => printMemberChange("promoted in", answer, page),
  memberList: ({ response }, page) => printRows(memberRows(response), page),
  endpointHealth: ({ response }, page) => {
    for (const { endpoint, took, error } of response) {
      if (error === "") page.line(`${endpoint} is healthy: successfully committed proposal: took = ${took}`);
      else page.errorLine(`${endpoint} is unhealthy: failed to commit proposal: ${error}`);
    }
  },
  endpointStatus: ({ response }, page) => printRows(statusRows(response), page),
  endpointHash: ({ response }, page) => printRows(hashRows(response), page),
  moveLeader: ({ from, to }, page) => page.line(`Leadership transferred from ${hex(from)} to ${hex(to)}`),
  downgradeValidate: ({ response }, page) =>
    page.line(`Downgrade validate success, cluster version ${response.version}`),
  downgradeEnable: ({ response }, page) => page.line(`Downgrade enable success, cluster version ${response.version}`),
  downgradeCancel: ({ response }, page) => page.line(`Downgrade cancel success, cluster version ${response.version}`),
  alarm: ({ response }, page) => {
    for (const { memberID, alarm } of response.alarms) {
      const member = memberID === 0n ? "" : `memberID:${memberID} `;
      page.line(alarm === AlarmType.NONE ? member : `${member}alarm:${alarmName(alarm)} `);
    }
  },
  roleAdd: ({ role }, page) => page.line(`Role ${role} created`),
  roleGet: ({ role, response }, page) => {
    page.line(`Role ${role}`);
    printPermissions("KV Read:", role, response.perm, Permission_Type.READ, page);
    printPermissions("KV Write:", role, response.perm, Permission_Type.WRITE, page);
  },
  roleDelete: ({ role }, page) => page.line(`Role ${role} deleted`),
  roleList: ({ response }, page) => {
    for (const role of response.roles) page.line(role);
  },
  roleGrantPermission: ({ role }, page) => page.line(`Role ${role} updated`),
  roleRevokePermission: ({ role, key, rangeEnd }, page) => {
    if (rangeEnd.length === 0) page.line(`Permission of key ${key} is revoked from role ${role}`);
    else if (isOpenEnd(rangeEnd)) page.line(`Permission of range [${key}, <open ended> is revoked from role ${role}`);
    else {
      page.text(`Permission of range [${key}, `);
      page.bytes(rangeEnd);
      page.line(`) is revoked from role ${role}`);
    }
  },
  userAdd: ({ user }, page) => page.line(`User ${user} created`),
  userGet: ({ user, response }, page) => {
    page.line(`User: ${user}`);
    page.line(`Roles:${response.roles.map((role) => ` ${role}`).join("")}`);
  },
  userList: ({ response }, page) => {
    for (const user of response.users) page.line(user);
  },
  userChangePassword: (_, page) => page.line("Password updated"),
  userGrantRole: ({ user, role }, page) => page.line(`Role ${role} is granted to user ${user}`),
  userRevokeRole: ({ user, role }, page) => page.line(`Role ${role} is revoked from user ${user}`),
  userDelete: ({ user }, page) => page.line(`User ${user} deleted`),
  authStatus: ({ response }, page) => {
    page.line(`Authentication Status: ${response.enabled}`);
    page.line(`AuthRevision: ${response.authRevision}`);
  },
};

export function alarmName(alarm: AlarmType): string {
  if (alarm === AlarmType.NONE) return "NONE";
  if (alarm === AlarmType.NOSPACE) return "NOSPACE";
  return alarm === AlarmType.CORRUPT ? "CORRUPT" : String(alarm);
}

function printPair(pair: KeyValue, page: Page): void {
  if (!page.valuesOnly) printValue(pair.key, page);
  printValue(pair.value, page);
}

function printValue(bytes: Uint8Array, page: Page): void {
  if (page.hex) page.text(asBuffer(bytes).toString("hex").replace(/../g, "\\x$&"));
  else page.bytes(bytes);
  page.line("");
}

function printOperation(operation: ResponseOp, page: Page): void {
  if (operation.responseRange !== undefined) simpleForms.get({ response: operation.responseRange }, page);
  else if (operation.responsePut !== undefined) simpleForms.put({ response: operation.responsePut }, page);
  else if (operation.responseDeleteRange !== undefined)
    simpleForms.delete({ response: operation.responseDeleteRange }, page);
}

function printRows({ rows }: Rows, page: Page): void {
  for (const row of rows) page.line(row.join(", "));
}

function printMemberChange(change: string, answer: Answers["memberRemove"], page: Page): void {
  page.line(`Member ${hexWide(answer.memberId)} ${change} cluster ${hexWide(answer.response.header?.clusterId)}`);
}

/** Go's `%16x`: blanks in front. */
function hexWide(id: bigint | undefined): string {
  return hex(id ?? 0n).padStart(16);
}

function printPermissions(
  title: string,
  role: string,
  permissions: readonly Permission[],
  wanted: Permission_Type,
  page: Page,
): void {
  page.line(title);
  // The root role has no stored permissions: it may do everything.
  if (role === "root" && permissions.length === 0) page.line("\t[, <open ended>");
  for (const { permType, key, rangeEnd } of permissions) {
    if (permType !== wanted && permType !== Permission_Type.READWRITE) continue;
    page.text("\t");
    if (rangeEnd.length > 0) page.text("[");
    page.bytes(key);
    if (isOpenEnd(rangeEnd)) page.text(", <open ended>");
    else if (rangeEnd.length > 0) {
      page.text(", ");
      page.bytes(rangeEnd);
      page.text(")");
    }
    if (rangeEnd.length > 0 && key.length > 0 && equalBytes(prefixEnd(key), rangeEnd)) {
      page.text(" (prefix ");
      page.bytes(key);
      page.text(")");
    }
    page.line("");
  }
}

/** The end `[0]`: to the end of the key space. */
function isOpenEnd(rangeEnd: Uint8Array): boolean {
  return rangeEnd.length === 1 && rangeEnd[0] === 0;
}
