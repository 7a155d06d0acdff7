import { expect, test } from "vitest";
import { RangeResponse, TxnResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import type { Terminal } from "../shared/terminal.ts";
import type { AnswerKind, Answers } from "./answers.ts";
import { createPrinter } from "./printer.ts";

const header = { clusterId: 11n, memberId: 2n ** 64n - 1n, revision: 7n, raftTerm: 2n };
const pair = {
  key: Buffer.from("k\n"),
  createRevision: 5n,
  modRevision: 7n,
  version: 2n,
  value: Uint8Array.of(0x76, 0xff),
  lease: 0x1bdfa201f9206deen,
};
const range = { header, kvs: [pair], more: true, count: 3n };

function printed<Kind extends AnswerKind>(format: string, kind: Kind, answer: Answers[Kind], hex = false): string {
  const parts: Uint8Array[] = [];
  const sink = { write: (part: string | Uint8Array) => parts.push(Buffer.from(part as string)) };
  const terminal: Terminal = {
    output: sink,
    error: sink,
    readInput: () => new Uint8Array(0),
    lines: () => {
      throw new Error("no input here");
    },
    environment: {},
    flush: () => undefined,
  };
  createPrinter(terminal, { format, hex }).print(kind, answer);
  return Buffer.concat(parts).toString("latin1");
}

test("a range in the simple form is key and value lines, the bytes as they are or in hexadecimal", () => {
  expect(printed("simple", "get", { response: range })).toBe("k\n\nv\xff\n");
  expect(printed("simple", "get", { response: range }, true)).toBe("\\x6b\\x0a\n\\x76\\xff\n");
});

test("a range in JSON has the names of Go's client", () => {
  expect(printed("json", "get", { response: range })).toBe(
    '{"header":{"cluster_id":11,"member_id":18446744073709551615,"revision":7,"raft_term":2},' +
      '"kvs":[{"key":"awo=","create_revision":5,"mod_revision":7,"version":2,"value":"dv8=","lease":2008502088188849646}],' +
      '"more":true,"count":3}\n',
  );
});

test("a range in the fields form quotes its bytes, and prints ids in hexadecimal when asked to", () => {
  expect(printed("fields", "get", { response: range }, true).split("\n")).toEqual([
    '"ClusterID" : b',
    '"MemberID" : ffffffffffffffff',
    '"Revision" : 7',
    '"RaftTerm" : 2',
    '"Key" : "k\\n"',
    '"CreateRevision" : 5',
    '"ModRevision" : 7',
    '"Version" : 2',
    '"Value" : "v\\xff"',
    '"Lease" : 1bdfa201f9206dee',
    '"More" : true',
    '"Count" : 3',
    "",
  ]);
});

test("a range in protobuf is the message", () => {
  const bytes = Buffer.from(printed("protobuf", "get", { response: range }), "latin1");
  expect(RangeResponse.decode(bytes).kvs[0]?.modRevision).toBe(7n);
});

test("the operations of a transaction stand in Go's one-of", () => {
  const response = {
    ...TxnResponse.create(),
    succeeded: true,
    responses: [{ responsePut: { header: undefined, prevKv: undefined } }],
  };
  expect(printed("json", "txn", { response })).toBe(
    '{"succeeded":true,"responses":[{"Response":{"response_put":{}}}]}\n',
  );
  expect(printed("simple", "txn", { response })).toBe("SUCCESS\n\nOK\n");
});

test("a form that does not exist is refused with exit code 4", () => {
  expect(() => printed("table", "get", { response: range })).toThrow(
    expect.objectContaining({ message: "table not supported as output format", exitCode: 4 }),
  );
  expect(() => printed("JSON", "get", { response: range })).toThrow("unsupported output format");
});
