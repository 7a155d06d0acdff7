/**
 * Replays histories recorded from etcd (test/fixtures/random-history) on store and lessor alone and compares every answer.
 * Steps that etcd's API layer refuses before the store sees them are left to the tests of the services.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import {
  base64,
  bytesOf,
  deleteRangeJson,
  deleteRangeRequest,
  header,
  pairJson,
  putJson,
  putRequest,
  rangeJson,
  rangeRequest,
  txnJson,
  txnRequest,
  type Json,
} from "../../test/support/kv-json.ts";
import { MemoryBackend } from "../../test/support/memory-backend.ts";
import { compareBytes } from "../base/bytes.ts";
import { Lessor } from "../lease/lessor.ts";
import { EtcdError, reasons } from "../wire/errors.ts";
import type { RangeRequest, TxnRequest } from "../wire/hot/types.ts";
import type { Revision } from "./change.ts";
import { Store } from "./store.ts";

interface Step {
  readonly i: number;
  readonly m: string;
  readonly req: Json;
  readonly res: Json;
  readonly then?: readonly Step[];
}

const refusedByApi = new Set<string>(
  (["emptyKey", "valueProvided", "leaseProvided", "duplicateKey", "tooManyOps"] as const).map(
    (reason) => reasons[reason].message,
  ),
);

class Replay {
  readonly #backend = new MemoryBackend();
  readonly #lessor = Lessor.open(this.#backend, { minTtlSeconds: 2, persistCheckpoints: false });
  #store = Store.open(this.#backend, this.#lessor, { hashSeed: { low: 1, high: 2 } });

  run(step: Step): Json {
    try {
      return this.#answer(step);
    } catch (error) {
      if (!(error instanceof EtcdError)) throw error;
      return { error: { code: error.code, message: error.message } };
    }
  }

  #answer({ m, req, then }: Step): Json {
    const store = this.#store;
    switch (m) {
      case "KV/Range":
        return this.#range(rangeRequest(req));
      case "KV/Put": {
        const { revision, response } = store.applyPut(putRequest(req));
        return putJson(revision, response);
      }
      case "KV/DeleteRange": {
        const { revision, response } = store.applyDeleteRange(deleteRangeRequest(req));
        return deleteRangeJson(revision, response);
      }
      case "KV/Txn":
        return this.#txn(txnRequest(req));
      case "KV/Compact":
        store.compact(Number(req["revision"] ?? 0));
        while (store.stepCompaction(7) !== "idle");
        return { header: header(store.currentRevision) };
      case "Lease/LeaseGrant": {
        const lease = this.#lessor.grant(BigInt(req["ID"] as number), Number(req["TTL"]), 0);
        return { header: header(store.currentRevision), ID: `${lease.id}`, TTL: `${lease.ttlSeconds}` };
      }
      case "Lease/LeaseRevoke":
        this.#lessor.revoke(BigInt(req["ID"] as number));
        return { header: header(store.currentRevision) };
      case "Lease/LeaseTimeToLive":
        return this.#timeToLive(BigInt(req["ID"] as number), req["keys"] === true);
      case "Lease/LeaseLeases": {
        const ids = this.#lessor.leaseIds().sort((a, b) => (a < b ? -1 : 1));
        const leases = ids.map((id) => ({ ID: `${id}` }));
        return { header: header(store.currentRevision), ...(leases.length > 0 && { leases }) };
      }
      case "Maintenance/HashKV":
        return this.#hashKv(Number(req["revision"] ?? 0));
      case "watch":
        return this.#watch(req, then ?? []);
      default:
        throw new Error(`unknown step ${m}`);
    }
  }

  /** Answers directly and through a cursor, which must agree. */
  #range(request: RangeRequest): Json {
    const { revision, response } = this.#store.range(request);
    const answer = rangeJson(revision, response);
    if (request.countOnly) return answer;
    const cursor = this.#store.rangeCursor(request);
    while (!cursor.measure(3));
    const kvs: Uint8Array[] = [];
    for (let chunk = cursor.next(64); chunk !== undefined; chunk = cursor.next(64)) kvs.push(chunk);
    const expected = response.kvs.map((kv) => Buffer.concat([Buffer.from([0x12, kv.length]), kv]));
    if (expected.every(({ length }) => length < 130)) expect(Buffer.concat(kvs)).toEqual(Buffer.concat(expected));
    const { more, count, pairCount, bytes } = cursor;
    expect({ more, count, pairCount }).toEqual({
      more: response.more,
      count: response.count,
      pairCount: response.kvs.length,
    });
    expect(Buffer.concat(kvs).length).toBe(bytes);
    cursor.close();
    expect(this.#backend.openViews).toBe(0);
    return answer;
  }

  #txn(request: TxnRequest): Json {
    const isReadOnly = [...request.success, ...request.failure].every((op) => op.kind === "range");
    if (!isReadOnly) this.#store.checkTxn(request);
    const { revision, response } = isReadOnly ? this.#store.readTxn(request) : this.#store.applyTxn(request, true);
    return txnJson(header(revision), response);
  }

  #timeToLive(id: bigint, withKeys: boolean): Json {
    const lease = this.#lessor.lookup(id);
    const head = { header: header(this.#store.currentRevision), ID: `${id}` };
    if (lease === undefined) return { ...head, TTL: "-1" };
    const keys = withKeys ? this.#lessor.keysOf(id).map(base64).sort() : []; // the recording sorts the base64 text
    return { ...head, TTL: "<TTL>", grantedTTL: `${lease.ttlSeconds}`, ...(keys.length > 0 && { keys }) };
  }

  #hashKv(revision: number): Json {
    const job = this.#store.hashKv(revision);
    while (!job.step(5));
    const { hash, compactRevision } = job.result;
    expect(this.#backend.openViews).toBe(0);
    return { header: header(this.#store.currentRevision), hash, compact_revision: `${compactRevision}` };
  }

  #watch(req: Json, then: readonly Step[]): Json {
    const created = { header: header(this.#store.currentRevision), created: true, canceled: false };
    const start = Number(req["start_revision"] ?? 0) || this.#store.currentRevision + 1;
    const answers = then.map((each) => this.#answer(each));
    const isCompacted = start < this.#store.compactRevision;
    const events = isCompacted ? [] : this.#events(req, start);
    const end = isCompacted
      ? { canceled: true, compact_revision: `${this.#store.compactRevision}` }
      : { canceled: false };
    return { created, answers, events, end };
  }

  #events(req: Json, start: number): Json[] {
    const events: Json[] = [];
    const key = bytesOf(req["key"]);
    const rangeEnd = bytesOf(req["range_end"]);
    const filters = (req["filters"] ?? []) as string[];
    let from: Revision | undefined = { main: start, sub: 0 };
    while (from !== undefined) {
      from = this.#store.eventsSince(from, this.#store.currentRevision + 1, 3, (change) => {
        if (!isInRange(change.key, key, rangeEnd)) return true;
        if (filters.includes(change.kind === "put" ? "NOPUT" : "NODELETE")) return true;
        const wantsPrevious = req["prev_kv"] === true && !change.isCreate;
        const previous = wantsPrevious ? this.#store.keyValueAt(change.key, change.main - 1) : undefined;
        events.push({
          ...(change.kind === "delete" && { type: "DELETE" }),
          kv: pairJson(change.kv),
          ...(previous !== undefined && { prev_kv: pairJson(previous) }),
        });
        return true;
      });
    }
    return events;
  }

  /** A store opened anew on the same rows. */
  reopened(): Store {
    const lessor = Lessor.open(this.#backend, { minTtlSeconds: 2, persistCheckpoints: false });
    return Store.open(this.#backend, lessor);
  }

  get store(): Store {
    return this.#store;
  }
}

function isInRange(key: Uint8Array, start: Uint8Array, end: Uint8Array): boolean {
  if (end.length === 0) return compareBytes(key, start) === 0;
  const isToTheEnd = end.length === 1 && end[0] === 0;
  return compareBytes(key, start) >= 0 && (isToTheEnd || compareBytes(key, end) < 0);
}

/** The recorded answer; that of a watch has a field `then`, which an object of ours must not (it would look like a promise). */
function expectedOf({ m, res }: Step): Json {
  if (m !== "watch") return res;
  const { then: answers, ...rest } = res;
  return { ...rest, answers };
}

const folder = new URL("../../test/fixtures/random-history/", import.meta.url);
const histories = [
  "h1-few-keys",
  "h2-prefixes",
  "h3-txn-heavy",
  "h4-lease-heavy",
  "h5-compact-heavy",
  "h6-binary-keys",
];

test.each(histories)("every answer of %s is etcd's", (name) => {
  const [, ...lines] = gunzipSync(readFileSync(new URL(`${name}.jsonl.gz`, folder)))
    .toString("utf8")
    .trim()
    .split("\n");
  const replay = new Replay();
  let compared = 0;
  for (const line of lines) {
    const step = JSON.parse(line) as Step;
    const message = (step.res["error"] as Json | undefined)?.["message"];
    if (refusedByApi.has(message as string)) continue;
    expect(replay.run(step), `step ${step.i}: ${line.slice(0, 2000)}`).toEqual(expectedOf(step));
    compared++;
  }
  expect(compared).toBeGreaterThan(lines.length * 0.8);

  const { store } = replay;
  const again = replay.reopened();
  expect(again.currentRevision).toBe(store.currentRevision);
  expect(again.compactRevision).toBe(store.compactRevision);
  expect(again.keyCount).toBe(store.keyCount);
  const all = rangeRequest({ key: "AA==", range_end: "AA==" });
  for (let revision = Math.max(store.compactRevision, 1); revision <= store.currentRevision; revision += 17) {
    const at = { ...all, revision };
    expect(again.range(at).response.kvs.map(pairJson)).toEqual(store.range(at).response.kvs.map(pairJson));
  }
});
