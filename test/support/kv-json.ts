/** Requests and answers of the store in the protobuf JSON form that the recorded histories use. */
import { unreachable } from "../../src/base/assert.ts";
import { PairReader } from "../../src/mvcc/stored-pair.ts";
import type {
  Compare,
  CompareOperand,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from "../../src/wire/hot/types.ts";

export type Json = Record<string, unknown>;

const sortOrders = ["NONE", "ASCEND", "DESCEND"];
const sortTargets = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"];
const compareResults = ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"];
const compareTargets = ["VERSION", "CREATE", "MOD", "VALUE", "LEASE"];

export const bytesOf = (value: unknown): Uint8Array => new Uint8Array(Buffer.from((value as string) ?? "", "base64"));
export const base64 = (value: Uint8Array): string => Buffer.from(value).toString("base64");
const numberOf = (value: unknown): number => Number(value ?? 0);
const leaseOf = (value: unknown): bigint => BigInt((value as number) ?? 0);
const indexOf = (names: readonly string[], value: unknown): number =>
  value === undefined ? 0 : names.indexOf(value as string);

export function rangeRequest(json: Json): RangeRequest {
  return {
    key: bytesOf(json["key"]),
    rangeEnd: bytesOf(json["range_end"]),
    limit: numberOf(json["limit"]),
    revision: numberOf(json["revision"]),
    sortOrder: indexOf(sortOrders, json["sort_order"]),
    sortTarget: indexOf(sortTargets, json["sort_target"]),
    serializable: json["serializable"] === true,
    keysOnly: json["keys_only"] === true,
    countOnly: json["count_only"] === true,
    minModRevision: numberOf(json["min_mod_revision"]),
    maxModRevision: numberOf(json["max_mod_revision"]),
    minCreateRevision: numberOf(json["min_create_revision"]),
    maxCreateRevision: numberOf(json["max_create_revision"]),
  };
}

export function putRequest(json: Json): PutRequest {
  return {
    key: bytesOf(json["key"]),
    value: bytesOf(json["value"]),
    lease: leaseOf(json["lease"]),
    prevKv: json["prev_kv"] === true,
    ignoreValue: json["ignore_value"] === true,
    ignoreLease: json["ignore_lease"] === true,
  };
}

export function deleteRangeRequest(json: Json): DeleteRangeRequest {
  return { key: bytesOf(json["key"]), rangeEnd: bytesOf(json["range_end"]), prevKv: json["prev_kv"] === true };
}

export function txnRequest(json: Json): TxnRequest {
  const list = (name: string): Json[] => (json[name] ?? []) as Json[];
  return {
    compare: list("compare").map(compare),
    success: list("success").map(requestOp),
    failure: list("failure").map(requestOp),
  };
}

function compare(json: Json): Compare {
  const operands: [string, CompareOperand][] = [
    ["version", 4],
    ["create_revision", 5],
    ["mod_revision", 6],
    ["value", 7],
    ["lease", 8],
  ];
  return {
    result: indexOf(compareResults, json["result"]),
    target: indexOf(compareTargets, json["target"]),
    key: bytesOf(json["key"]),
    rangeEnd: bytesOf(json["range_end"]),
    operand: operands.find(([name]) => name in json)?.[1] ?? 0,
    version: numberOf(json["version"]),
    createRevision: numberOf(json["create_revision"]),
    modRevision: numberOf(json["mod_revision"]),
    value: bytesOf(json["value"]),
    lease: leaseOf(json["lease"]),
  };
}

function requestOp(json: Json): RequestOp {
  if ("request_range" in json) return { kind: "range", range: rangeRequest(json["request_range"] as Json) };
  if ("request_put" in json) return { kind: "put", put: putRequest(json["request_put"] as Json) };
  if ("request_txn" in json) return { kind: "txn", txn: txnRequest(json["request_txn"] as Json) };
  return { kind: "deleteRange", deleteRange: deleteRangeRequest(json["request_delete_range"] as Json) };
}

/** Fields with default values are left out. */
function compact(json: Json): Json {
  return Object.fromEntries(
    Object.entries(json).filter(([, value]) => {
      if (Array.isArray(value)) return value.length > 0;
      return value !== undefined && value !== "" && value !== "0" && value !== false;
    }),
  );
}

export const header = (revision: number): Json => ({ revision: `${revision}` });

export function pairJson(stored: Uint8Array): Json {
  const pair = new PairReader().read(stored);
  return compact({
    key: base64(pair.key),
    create_revision: `${pair.createRevision}`,
    mod_revision: `${pair.modRevision}`,
    version: `${pair.version}`,
    value: base64(pair.value),
    lease: `${pair.lease}`,
  });
}

export function rangeJson(revision: number, { kvs, more, count }: RangeResponse): Json {
  return compact({ header: header(revision), kvs: kvs.map(pairJson), more, count: `${count}` });
}

export function putJson(revision: number, { prevKv }: PutResponse): Json {
  return compact({ header: header(revision), prev_kv: prevKv === undefined ? undefined : pairJson(prevKv) });
}

export function deleteRangeJson(revision: number, { deleted, prevKvs }: DeleteRangeResponse): Json {
  return compact({ header: header(revision), deleted: `${deleted}`, prev_kvs: prevKvs.map(pairJson) });
}

export function txnJson(head: Json, { succeeded, responses }: TxnResponse): Json {
  return compact({ header: head, succeeded, responses: responses.map(responseOp) });
}

function responseOp(op: ResponseOp): Json {
  switch (op.kind) {
    case "range":
      return { response_range: rangeJson(op.revision, op.range) };
    case "put":
      return { response_put: putJson(op.revision, op.put) };
    case "deleteRange":
      return { response_delete_range: deleteRangeJson(op.revision, op.deleteRange) };
    case "txn":
      return { response_txn: txnJson({}, op.txn) };
    default:
      return unreachable(op);
  }
}
