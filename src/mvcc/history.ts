/** History for watchers that start in the past or fell behind: rows read back as changes. */
import { EtcdError } from "../wire/errors.ts";
import type { Change, Revision } from "./change.ts";
import type { Core } from "./core.ts";

/** See `Store.eventsSince`. */
export function eventsSince(
  core: Core,
  from: Revision,
  end: number,
  maxRows: number,
  visit: (change: Change) => boolean,
): Revision | undefined {
  if (from.main < core.compactRevision) throw new EtcdError("compacted");
  let looked = 0;
  let next: Revision | undefined;
  let stopped = false;
  core.rows.scanRows(from, { main: end, sub: 0 }, (main, sub, isTombstone, value) => {
    if (stopped || looked === maxRows) {
      next = { main, sub };
      return false;
    }
    looked++;
    stopped = !visit(changeOf(core, main, sub, isTombstone, value));
    return true;
  });
  return next;
}

function changeOf(core: Core, main: number, sub: number, isTombstone: boolean, value: Uint8Array): Change {
  const { key, createRevision } = core.pair.read(value);
  if (isTombstone) return { kind: "delete", key, kv: core.pairs.encodeDeletion(key, main), main, sub, isCreate: false };
  return { kind: "put", key, kv: value, main, sub, isCreate: createRevision === main };
}
