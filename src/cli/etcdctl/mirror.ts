/**
 * Copies the keys below a prefix to another cluster, then every change of them, a revision a transaction. What is deleted
 * at the source before the copy began is not deleted at the destination; leases are not copied.
 * Source: etcdctl/ctlv3/command/make_mirror_command.go, client/v3/mirror/syncer.go.
 */
import { prefixEnd } from "../../base/bytes.ts";
import type { Client, Fields } from "../../client/client.ts";
import { ClientError } from "../../client/client-error.ts";
import { methods } from "../../client/methods.ts";
import { type Watch, Watcher } from "../../client/watcher.ts";
import { reasons } from "../../wire/errors.ts";
import {
  type RangeRequest,
  RangeRequest_SortOrder,
  RangeRequest_SortTarget,
  type RequestOp,
  type WatchResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { type Event, Event_EventType } from "../../wire/gen/mvccpb/kv.ts";

export interface MirrorOptions {
  readonly source: Client;
  readonly destination: Client;
  readonly prefix: Uint8Array;
  /** Takes the prefix's place in the copied keys. */
  readonly destinationPrefix: Uint8Array;
  /** Follow from here on, without a copy of what is there; 0 or 1 = copy first. */
  readonly revision: bigint;
  /** Most operations of one transaction; 0 = all of a revision. */
  readonly operationsMax: number;
  /** A key was copied, changed or deleted; called before the destination has confirmed a change. */
  readonly onKey: () => void;
}

/** Keys read at once. */
const pageKeys = 1000;
/** Keys written at once: they are independent of each other. */
const writesMax = 64;
/** Responses of the watch that may wait for the destination. Beyond, the watch ends and begins again behind them. */
const waitingMax = 1000;

const zero = Uint8Array.of(0);

/** Ends only with an error. @throws {ClientError} */
export async function mirror(options: MirrorOptions): Promise<never> {
  const from = options.revision > 1n ? options.revision : (await copyAll(options)) + 1n;
  return follow(options, from);
}

/** @returns the revision that was copied. */
async function copyAll({ source, destination, prefix, destinationPrefix, onKey }: MirrorOptions): Promise<bigint> {
  const probe = await source.call(methods.range, { key: prefix.length > 0 ? prefix : Buffer.from("foo") });
  const revision = probe.header?.revision ?? 0n;
  const range: Fields<RangeRequest> = {
    rangeEnd: prefix.length > 0 ? prefixEnd(prefix) : zero,
    revision,
    limit: BigInt(pageKeys),
    sortOrder: RangeRequest_SortOrder.ASCEND,
    sortTarget: RangeRequest_SortTarget.KEY,
  };
  let key: Uint8Array = prefix.length > 0 ? prefix : zero;
  for (;;) {
    const { kvs, more } = await source.call(methods.range, { ...range, key });
    for (let start = 0; start < kvs.length; start += writesMax) {
      const batch = kvs.slice(start, start + writesMax);
      await Promise.all(
        batch.map(async (kv) => {
          const copied = moveKey(kv.key, prefix, destinationPrefix);
          await destination.call(methods.put, { key: copied, value: kv.value });
          onKey();
        }),
      );
    }
    const last = kvs.at(-1);
    if (!more || last === undefined) return revision;
    key = Buffer.concat([last.key, zero]);
  }
}

async function follow(options: MirrorOptions, from: bigint): Promise<never> {
  const { source, prefix } = options;
  const keys = prefix.length > 0 ? { key: prefix, rangeEnd: prefixEnd(prefix) } : { key: zero, rangeEnd: zero };
  const watcher = new Watcher(source);
  for (let next = from; ;) {
    for await (const { events } of responses(watcher, { ...keys, startRevision: next })) {
      await applyEvents(events, options);
      next = (events.at(-1)?.kv?.modRevision ?? next - 1n) + 1n;
    }
  }
}

/** Responses of a watch, in order; ends when too many of them wait. @throws {ClientError} when the server ends the watch. */
async function* responses(
  watcher: Watcher,
  request: { readonly key: Uint8Array; readonly rangeEnd: Uint8Array; readonly startRevision: bigint },
): AsyncGenerator<WatchResponse> {
  const waiting: WatchResponse[] = [];
  let state: "open" | "full" | "ended" = "open";
  let failure: ClientError | undefined;
  let wake: () => void = () => undefined;
  const watch: Watch = watcher.watch(request, {
    response(response) {
      if (state !== "open" || response.events.length === 0) return;
      waiting.push(response);
      if (waiting.length >= waitingMax) state = "full";
      wake();
    },
    closed(error) {
      failure = error;
      state = "ended";
      wake();
    },
  });
  for (;;) {
    const response = waiting.shift();
    if (response !== undefined) yield response;
    else if (state === "open") await new Promise<void>((resolve) => (wake = resolve));
    else break;
  }
  if (failure !== undefined) throw compactedOr(failure);
  watch.cancel();
}

/** A watch that begins below the compacted revision is cancelled; Go's mirror names the reason in the server's words. */
function compactedOr(failure: ClientError): ClientError {
  const { code, message } = reasons.compacted;
  return failure.message.includes("required revision has been compacted")
    ? new ClientError(code, message, message)
    : failure;
}

async function applyEvents(events: readonly Event[], options: MirrorOptions): Promise<void> {
  const { destination, prefix, destinationPrefix, operationsMax, onKey } = options;
  let operations: RequestOp[] = [];
  let revision: bigint | undefined;
  const commit = async (): Promise<void> => {
    const success = operations;
    operations = [];
    await destination.call(methods.txn, { success });
  };
  for (const { type, kv } of events) {
    if (kv === undefined) continue;
    const isNextRevision = revision !== undefined && kv.modRevision > revision;
    if (isNextRevision || (operationsMax > 0 && operations.length === operationsMax)) await commit();
    revision = kv.modRevision;
    operations.push(toOperation(type, moveKey(kv.key, prefix, destinationPrefix), kv.value));
    onKey();
  }
  if (operations.length > 0) await commit();
}

function toOperation(type: Event_EventType, key: Uint8Array, value: Uint8Array): RequestOp {
  if (type === Event_EventType.DELETE) {
    return { requestDeleteRange: { key, rangeEnd: new Uint8Array(0), prevKv: false } };
  }
  return { requestPut: { key, value, lease: 0n, prevKv: false, ignoreValue: false, ignoreLease: false } };
}

function moveKey(key: Uint8Array, prefix: Uint8Array, destinationPrefix: Uint8Array): Uint8Array {
  return Buffer.concat([destinationPrefix, key.subarray(prefix.length)]);
}
