/** Go's JSON names of every answer, in the order in which its structs declare them. */
import type { Shape } from "../../shared/go-json.ts";
import type { AnswerKind } from "../answers.ts";

/** Members whose name is the snake-case form of ours, left out when zero. */
function plain(...properties: readonly string[]): Shape {
  return properties.map((property) => ({ property, name: snakeCase(property) }));
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Members with the same name in both worlds. */
function same(...properties: readonly string[]): Shape {
  return properties.map((property) => ({ property, name: property }));
}

const headerShape = plain("clusterId", "memberId", "revision", "raftTerm");
const header: Shape = [{ property: "header", name: "header", shape: headerShape }];
/** The lease answers of the client library embed the header. */
const inlineHeader: Shape = [{ property: "header", name: "", shape: headerShape, inline: true }];

const keyValue = plain("key", "createRevision", "modRevision", "version", "value", "lease");

const get: Shape = [...header, { property: "kvs", name: "kvs", shape: keyValue }, ...same("more", "count")];
const put: Shape = [...header, { property: "prevKv", name: "prev_kv", shape: keyValue }];
const deleteRange: Shape = [...header, ...same("deleted"), { property: "prevKvs", name: "prev_kvs", shape: keyValue }];

/** Nested answers; `Response` is the Go name of the one-of, see {@link wrapOperations}. */
const operation: Shape = [
  { property: "responseRange", name: "response_range", shape: get },
  { property: "responsePut", name: "response_put", shape: put },
  { property: "responseDeleteRange", name: "response_delete_range", shape: deleteRange },
];
const txn: Shape = [
  ...header,
  ...same("succeeded"),
  {
    property: "responses",
    name: "responses",
    shape: [{ property: "operation", name: "Response", keepZero: true, shape: operation }],
  },
];

/** A transaction's answer with each operation one level deeper, where Go's JSON has it. */
export function wrapOperations(response: { readonly responses: readonly object[] }): object {
  return { ...response, responses: response.responses.map((one) => ({ operation: one })) };
}

const watch: Shape = [
  { property: "header", name: "Header", keepZero: true, shape: headerShape },
  {
    property: "events",
    name: "Events",
    keepZero: true,
    emptyList: "[]",
    shape: [
      ...same("type"),
      { property: "kv", name: "kv", shape: keyValue },
      { property: "prevKv", name: "prev_kv", shape: keyValue },
    ],
  },
  { property: "compactRevision", name: "CompactRevision", keepZero: true },
  { property: "canceled", name: "Canceled", keepZero: true },
  { property: "created", name: "Created", keepZero: true },
];

const member = same("ID", "name", "peerURLs", "clientURLs", "isLearner");
const members: Shape = [...header, { property: "members", name: "members", shape: member }];
const lease: Shape = [
  ...inlineHeader,
  { property: "ID", name: "ID", keepZero: true },
  { property: "TTL", name: "TTL", keepZero: true },
];

const status: Shape = [
  ...header,
  ...same("version", "dbSize", "leader", "raftIndex", "raftTerm", "raftAppliedIndex", "errors", "dbSizeInUse"),
  ...same("isLearner", "storageVersion", "dbSizeQuota"),
  { property: "downgradeInfo", name: "downgradeInfo", shape: same("enabled", "targetVersion") },
];

const downgrade: Shape = [...header, ...same("version")];

export const jsonShapes: Readonly<Record<AnswerKind, Shape>> = {
  get,
  put,
  delete: deleteRange,
  txn,
  watch,
  leaseGrant: [...lease, { property: "error", name: "Error", keepZero: true }],
  leaseRevoke: header,
  leaseKeepAlive: lease,
  leaseTimeToLive: [
    ...inlineHeader,
    { property: "ID", name: "id", keepZero: true },
    { property: "TTL", name: "ttl", keepZero: true },
    { property: "grantedTTL", name: "granted-ttl", keepZero: true },
    { property: "keys", name: "keys", keepZero: true, emptyList: "null" },
  ],
  leaseList: [
    ...inlineHeader,
    {
      property: "leases",
      name: "leases",
      keepZero: true,
      emptyList: "[]",
      shape: [{ property: "ID", name: "id", keepZero: true }],
    },
  ],
  memberAdd: [...header, { property: "member", name: "member", shape: member }, ...members.slice(header.length)],
  memberRemove: members,
  memberUpdate: members,
  memberPromote: members,
  memberList: members,
  endpointHealth: [
    { property: "endpoint", name: "endpoint", keepZero: true },
    { property: "healthy", name: "health", keepZero: true },
    { property: "took", name: "took", keepZero: true },
    { property: "error", name: "error" },
  ],
  endpointStatus: [
    { property: "endpoint", name: "Endpoint", keepZero: true },
    { property: "status", name: "Status", keepZero: true, shape: status },
  ],
  endpointHash: [
    { property: "endpoint", name: "Endpoint", keepZero: true },
    {
      property: "hash",
      name: "HashKV",
      keepZero: true,
      shape: [...header, ...plain("hash", "compactRevision", "hashRevision")],
    },
  ],
  moveLeader: header,
  downgradeValidate: downgrade,
  downgradeEnable: downgrade,
  downgradeCancel: downgrade,
  alarm: [...header, { property: "alarms", name: "alarms", shape: same("memberID", "alarm") }],
  roleAdd: header,
  roleGet: [
    ...header,
    {
      property: "perm",
      name: "perm",
      shape: [...same("permType", "key"), { property: "rangeEnd", name: "range_end" }],
    },
  ],
  roleDelete: header,
  roleList: [...header, ...same("roles")],
  roleGrantPermission: header,
  roleRevokePermission: header,
  userAdd: header,
  userGet: [...header, ...same("roles")],
  userList: [...header, ...same("users")],
  userChangePassword: header,
  userGrantRole: header,
  userRevokeRole: header,
  userDelete: header,
  authStatus: [...header, ...same("enabled", "authRevision")],
};
