import { expect, test } from "vitest";
import { call, put, ServiceMember } from "../../../test/support/service-member.ts";
import { ManualClock } from "../../../test/support/manual-clock.ts";
import { methods } from "../../client/methods.ts";
import { GrpcClient } from "../../grpc/client.ts";
import { GrpcServer } from "../../grpc/server.ts";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { connectionPair } from "../../../test/support/memory-connection.ts";
import type { HandledCall } from "../../grpc/calls.ts";
import { registerServices } from "./register.ts";
import { RequestLog } from "./request-log.ts";
import { rangeText, txnText } from "./request-text.ts";
import { decodeRangeRequest } from "../../wire/hot/kv-requests.ts";
import { decodeTxnRequest } from "../../wire/hot/txn-request.ts";
import { RangeRequest, TxnRequest } from "../../wire/gen/etcdserverpb/rpc.ts";

type Line = Record<string, unknown>;

test("slow key-value requests are logged with what they asked and moved, values only by their size", async () => {
  const running = await ServiceMember.start();
  const { clock } = running.platform;
  const lines: Line[] = [];
  const log = createStderrLogger("warn", (line) => void lines.push(JSON.parse(line) as Line));
  // Everything takes longer than this.
  const server = new GrpcServer({
    clock,
    onHandled: new RequestLog({ log, clock, warnMs: -1, warnReadMs: Infinity }).onHandled,
  });
  registerServices(server, running.member);
  const [near, far] = connectionPair(clock);
  server.handleConnection(far);
  const client = new GrpcClient(near, { clock, authority: "test" });

  await running.run(put(client, "secret", "never shown"));
  await running.run(call(client, methods.range, { key: Buffer.from("secret"), limit: 3n }));
  const txn = {
    compare: [{ target: 0, result: 0, key: Buffer.from("secret"), version: 1n }],
    success: [{ requestPut: { key: Buffer.from("secret"), value: Buffer.from("neither") } }],
    failure: [{ requestRange: { key: Buffer.from("x") } }],
  };
  await running.run(call(client, methods.txn, txn));
  await running.run(call(client, methods.deleteRange, { key: Buffer.from("s"), rangeEnd: Buffer.from("t") }));
  await running.run(call(client, methods.status, {}));

  const fields = [
    "level",
    "msg",
    "response type",
    "request count",
    "request size",
    "response count",
    "request content",
  ];
  expect(lines.map((line) => fields.map((field) => line[field]))).toEqual([
    ["warn", "request stats", "/etcdserverpb.KV/Put", 1, 21, 0, 'key:"secret" value_size:11 '],
    ["warn", "request stats", "/etcdserverpb.KV/Range", 0, 10, 1, 'key:"secret" limit:3 '],
    [
      "warn",
      "request stats",
      "/etcdserverpb.KV/Txn",
      1,
      19,
      0,
      'compare:<key:"secret" version:1 > success:<request_put:<key:"secret" value_size:7 >> failure:<request_range:<key:"x" > >',
    ],
    ["warn", "request stats", "/etcdserverpb.KV/DeleteRange", 0, 6, 1, 'key:"s" range_end:"t" '],
    ["warn", "request stats", "/etcdserverpb.Maintenance/Status", -1, -1, -1, ""],
  ]);
  for (const line of lines) {
    expect(line["time spent"]).toMatch(/^[\d.]+(µs|ms|s)$/);
    expect(line["start time"]).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(line["remote"]).toBe("127.0.0.1:1");
  }
  expect(JSON.stringify(lines)).not.toContain("never shown");
});

test("requests within the limit and streams are not logged", () => {
  const lines: string[] = [];
  const log = createStderrLogger("warn", (line) => void lines.push(line));
  const requests = new RequestLog({ log, clock: new ManualClock(), warnMs: 300, warnReadMs: 100 });
  const handled = (type: string): HandledCall =>
    ({ method: { path: "/x/Y", type }, remote: { path: "/socket" } }) as unknown as HandledCall;
  requests.onHandled(handled("unary"), 0, 300);
  requests.onHandled(handled("bidi_stream"), 0, 3000);
  expect(lines).toEqual([]);
  requests.onHandled(handled("unary"), 0, 300.5);
  expect(lines).toHaveLength(1);
});

test("reads that wait or take long are counted as slow applies, as etcd does", () => {
  const lines: Line[] = [];
  const log = createStderrLogger("warn", (line) => void lines.push(JSON.parse(line) as Line));
  const requests = new RequestLog({ log, clock: new ManualClock(), warnMs: 300, warnReadMs: 100 });
  const handled = (path: string, request: unknown, response?: unknown): HandledCall =>
    ({ method: { path, type: "unary" }, remote: { path: "/s" }, request, response, responseBytes: 33 }) as never;
  const range = decodeRangeRequest(RangeRequest.encode(RangeRequest.fromPartial({ key: Buffer.from("k") })).finish());
  const reads = TxnRequest.encode(TxnRequest.fromPartial({ success: [{ requestRange: { key: range.key } }] })).finish();
  const writes = TxnRequest.encode(TxnRequest.fromPartial({ success: [{ requestPut: { key: range.key } }] })).finish();
  requests.onHandled(handled("/etcdserverpb.KV/Range", range, 1), 0, 100);
  requests.onHandled(handled("/etcdserverpb.KV/Txn", writes, true), 0, 200);
  expect(lines).toEqual([]);

  requests.onHandled(handled("/etcdserverpb.KV/Range", range, 1), 0, 200);
  requests.onHandled(handled("/etcdserverpb.KV/Txn", reads, true), 0, 250);
  const fields = ["level", "msg", "took", "expected-duration", "prefix", "request", "response"];
  const message = "apply request took too long";
  expect(lines.map((line) => fields.map((field) => line[field]))).toEqual([
    ["warn", message, "200ms", "100ms", "read-only range ", 'key:"k" ', "range_response_count:1 size:33"],
    [
      "warn",
      message,
      "250ms",
      "100ms",
      "read-only txn ",
      'compare:<> success:<request_range:<key:"k" > > failure:<>',
      "size:33",
    ],
  ]);
  expect(requests.slowReads).toBe(2);
});

test("requests are shown in protobuf's text form", () => {
  const range = RangeRequest.fromPartial({
    key: Buffer.from([0x22, 0x5c, 0x0a, 0, 0xff, 0x61]),
    sortOrder: 2,
    sortTarget: 4,
    serializable: true,
    minModRevision: 5n,
  });
  expect(rangeText(decodeRangeRequest(RangeRequest.encode(range).finish()))).toBe(
    'key:"\\"\\\\\\n\\000\\377a" sort_order:DESCEND sort_target:VALUE serializable:true min_mod_revision:5 ',
  );
  const txn = TxnRequest.fromPartial({
    compare: [
      { result: 1, target: 3, key: Buffer.from("k"), value: Buffer.from("four") },
      { result: 3, target: 1, key: Buffer.from("k"), createRevision: 0n },
    ],
    success: [{ requestTxn: { success: [{ requestDeleteRange: { key: Buffer.from("k"), prevKv: true } }] } }],
  });
  expect(txnText(decodeTxnRequest(TxnRequest.encode(txn).finish()))).toBe(
    'compare:<result:GREATER target:VALUE key:"k" value_size:4  result:NOT_EQUAL target:CREATE key:"k" create_revision:0 >' +
      ' success:<request_txn:<compare:<> success:<request_delete_range:<key:"k" prev_kv:true > > failure:<>>> failure:<>',
  );
});
