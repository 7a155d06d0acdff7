import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { cancelReasons, Code, codeName, EtcdError, reasons, statusText } from "./errors.ts";

/** Lines `code<TAB>text`: every status a client of etcd 3.6 can meet, collected from observation apart from the table. */
const observed = readFileSync(new URL("testdata/errors.tsv", import.meta.url), "utf8")
  .trimEnd()
  .split("\n")
  .sort();

test("the table holds exactly the statuses known of etcd", () => {
  const table = Object.values(reasons).map(({ code, message }) => `${code}\t${message}`);
  expect(table.sort()).toEqual(observed);
});

test("no two reasons say the same", () => {
  const texts = Object.values(reasons).map(({ code, message }) => `${code} ${message}`);
  expect(new Set(texts).size).toBe(texts.length);
});

test("an EtcdError takes code and text from its reason and keeps its cause", () => {
  const cause = new Error("below");
  const error = new EtcdError("compacted", { cause });
  expect(error.code).toBe(Code.OutOfRange);
  expect(error.message).toBe("etcdserver: mvcc: required revision has been compacted");
  expect(error.cause).toBe(cause);
  expect("cause" in new EtcdError("compacted")).toBe(false);
});

test("a reason with a variable end appends the detail", () => {
  expect(new EtcdError("messageTooLarge", { detail: "(3000000 vs. 2097152)" }).message).toBe(
    "grpc: received message larger than max (3000000 vs. 2097152)",
  );
});

test("a status prints as in Go", () => {
  const { code, message } = new EtcdError("userEmpty");
  expect(statusText(code, message)).toBe("rpc error: code = InvalidArgument desc = etcdserver: user name is empty");
  expect(codeName(77)).toBe("Code(77)");
  expect(cancelReasons.compacted).toBe("etcdserver: mvcc: required revision has been compacted");
});
