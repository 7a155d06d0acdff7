/**
 * Key-value requests as etcd writes them into its log: protobuf's text form on one line, values replaced by their sizes.
 *
 *     key:"foo" range_end:"fop" limit:10
 *     compare:<target:VERSION key:"foo" version:1 > success:<request_put:<key:"foo" value_size:3 >> failure:<>
 *
 * @see etcd api/etcdserverpb/raft_internal_stringer.go; the text form is that of gogo/protobuf's CompactTextString.
 */
import type {
  Compare,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from "../../wire/hot/types.ts";

const sortOrders = ["NONE", "ASCEND", "DESCEND"];
const sortTargets = ["KEY", "VERSION", "CREATE", "MOD", "VALUE"];
const compareResults = ["EQUAL", "GREATER", "LESS", "NOT_EQUAL"];
const compareTargets = ["VERSION", "CREATE", "MOD", "VALUE", "LEASE"];

/** A put without its value, which is large and may be secret. */
export type PutSummary = Omit<PutRequest, "value"> & { readonly valueBytes: number };

export function rangeText(request: RangeRequest): string {
  return (
    bytesField("key", request.key) +
    bytesField("range_end", request.rangeEnd) +
    field("limit", request.limit) +
    field("revision", request.revision) +
    field("sort_order", nameOf(sortOrders, request.sortOrder)) +
    field("sort_target", nameOf(sortTargets, request.sortTarget)) +
    field("serializable", request.serializable) +
    field("keys_only", request.keysOnly) +
    field("count_only", request.countOnly) +
    field("min_mod_revision", request.minModRevision) +
    field("max_mod_revision", request.maxModRevision) +
    field("min_create_revision", request.minCreateRevision) +
    field("max_create_revision", request.maxCreateRevision)
  );
}

export function putText({ key, valueBytes, lease, prevKv, ignoreValue, ignoreLease }: PutSummary): string {
  return (
    bytesField("key", key) +
    field("value_size", valueBytes) +
    field("lease", lease) +
    field("prev_kv", prevKv) +
    field("ignore_value", ignoreValue) +
    field("ignore_lease", ignoreLease)
  );
}

export function deleteRangeText({ key, rangeEnd, prevKv }: DeleteRangeRequest): string {
  return bytesField("key", key) + bytesField("range_end", rangeEnd) + field("prev_kv", prevKv);
}

export function txnText({ compare, success, failure }: TxnRequest): string {
  const ops = (list: readonly RequestOp[]): string => list.map(opText).join(" ");
  return `compare:<${compare.map(compareText).join(" ")}> success:<${ops(success)}> failure:<${ops(failure)}>`;
}

function opText(op: RequestOp): string {
  switch (op.kind) {
    case "put":
      return `request_put:<${putText({ ...op.put, valueBytes: op.put.value.length })}>`;
    case "txn":
      return `request_txn:<${txnText(op.txn)}>`;
    case "range":
      return `request_range:<${rangeText(op.range)}> `;
    case "deleteRange":
      return `request_delete_range:<${deleteRangeText(op.deleteRange)}> `;
    default:
      return "";
  }
}

/** Names of the operands by field number, as far as they are numbers. */
const operandNames: Readonly<Record<number, keyof Compare & ("version" | "createRevision" | "modRevision" | "lease")>> =
  {
    4: "version",
    5: "createRevision",
    6: "modRevision",
    8: "lease",
  };
const operandTexts = {
  version: "version",
  createRevision: "create_revision",
  modRevision: "mod_revision",
  lease: "lease",
};
const valueOperand = 7;

function compareText(compare: Compare): string {
  const name = operandNames[compare.operand];
  // An operand that is given is shown even when it is zero.
  const operand = name === undefined ? "" : `${operandTexts[name]}:${compare[name]} `;
  return (
    field("result", nameOf(compareResults, compare.result)) +
    field("target", nameOf(compareTargets, compare.target)) +
    bytesField("key", compare.key) +
    operand +
    (compare.operand === valueOperand ? field("value_size", compare.value.length) : "") +
    bytesField("range_end", compare.rangeEnd)
  );
}

/** Empty for what is unset, as everywhere in this form. */
function field(name: string, value: number | bigint | boolean | string): string {
  return value === 0 || value === 0n || value === false || value === "" ? "" : `${name}:${value} `;
}

/** The first name is the default, which is not shown; unknown numbers show themselves. */
function nameOf(names: readonly string[], value: number): string {
  return value === 0 ? "" : (names[value] ?? String(value));
}

function bytesField(name: string, bytes: Uint8Array): string {
  return bytes.length === 0 ? "" : `${name}:"${quoted(bytes)}" `;
}

const escapes: Readonly<Record<number, string>> = { 0x0a: "\\n", 0x0d: "\\r", 0x09: "\\t", 0x22: '\\"', 0x5c: "\\\\" };

/** Bytes that are no printable ASCII as three octal digits. */
function quoted(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    const isPlain = byte >= 0x20 && byte < 0x7f;
    text += escapes[byte] ?? (isPlain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, "0")}`);
  }
  return text;
}
