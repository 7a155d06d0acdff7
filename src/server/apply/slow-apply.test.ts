import { expect, test } from "vitest";
import { createStderrLogger } from "../../platform/node/stderr-logger.ts";
import { EtcdError } from "../../wire/errors.ts";
import { LeaseGrantRequest } from "../../wire/gen/etcdserverpb/rpc.ts";
import { encodeRaftRequest, type RequestKind } from "../../wire/hot/raft-request.ts";
import { EntryType } from "../../wire/raft/types.ts";
import { putRequest } from "../../../test/support/member.ts";
import type { ApplyResult } from "./result.ts";
import { warnOfSlowApply } from "./slow-apply.ts";

function warning(kind: RequestKind, request: Uint8Array, result: ApplyResult | undefined, error?: EtcdError) {
  const lines: Record<string, unknown>[] = [];
  const log = createStderrLogger("warn", (line) => void lines.push(JSON.parse(line) as Record<string, unknown>));
  const data = encodeRaftRequest(kind, request, { id: 5n, username: "root", authRevision: 7n });
  const entry = { type: EntryType.Normal, term: 2, index: 9, data };
  warnOfSlowApply(log, { tookMs: 123.5, expectedMs: 100, entry, result, error });
  expect(lines).toHaveLength(1);
  return lines[0];
}

test("a slow put shows its key, the size of its value, and the size of the answer", () => {
  const result: ApplyResult = { kind: "put", revision: 300, response: { prevKv: undefined } };
  expect(warning("put", putRequest("key", "secret"), result)).toMatchObject({
    level: "warn",
    msg: "apply request took too long",
    took: "123.5ms",
    "expected-duration": "100ms",
    prefix: "",
    request: 'header:<ID:5 username:"root" auth_revision:7 > put:<key:"key" value_size:6 >',
    response: "size:5",
  });
});

test("one that failed shows why", () => {
  const request = LeaseGrantRequest.encode({ ID: 255n, TTL: 60n }).finish();
  expect(warning("leaseGrant", request, undefined, new EtcdError("leaseExists"))).toMatchObject({
    request: 'header:<ID:5 username:"root" auth_revision:7 > lease_grant:<ttl:60-second id:00000000000000ff>',
    response: "",
    error: "etcdserver: lease already exists",
  });
});
