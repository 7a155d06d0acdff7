/**
 * The line that Lock and Election stand in: a key `<name>/<lease in hex>` for each candidate, first come, first served by
 * create revision. Who is not first waits until the one before is gone.
 *
 * @see etcd client/v3/concurrency/{mutex,election,key}.go
 */
import { prefixEnd } from "../../base/bytes.ts";
import { SortOrder, SortTarget, type KeyValue } from "../../wire/hot/types.ts";
import {
  CallerGone,
  createRevisionIs,
  get,
  pairsOf,
  put,
  rangeOf,
  type LocalClient,
  type RecipeCall,
} from "./local-client.ts";

export interface Place {
  readonly key: Uint8Array;
  readonly createRevision: number;
  readonly revision: number;
  /** The candidate's own pair when it already stood in line. */
  readonly existing: KeyValue | undefined;
}

/** `name/`: where the candidates of a line stand. */
export function linePrefix(name: Uint8Array): Uint8Array {
  return Buffer.concat([name, Buffer.from("/")]);
}

/** First come of the line. */
export function firstOf(prefix: Uint8Array): Parameters<typeof get>[0] {
  return rangeOf(prefix, {
    rangeEnd: prefixEnd(prefix),
    limit: 1,
    sortOrder: SortOrder.Ascend,
    sortTarget: SortTarget.Create,
  });
}

/** Takes a place at the end of the line, or finds the one that this lease already has. */
export async function enter(
  client: LocalClient,
  prefix: Uint8Array,
  { lease, value }: { lease: bigint; value: Uint8Array },
): Promise<Place & { readonly first: KeyValue | undefined }> {
  const key = Buffer.concat([prefix, Buffer.from(BigInt.asUintN(64, lease).toString(16))]);
  const first = get(firstOf(prefix));
  const answer = await client.txn(
    [createRevisionIs(key, 0)],
    [put(key, value, lease), first],
    [get(rangeOf(key)), first],
  );
  const existing = answer.succeeded ? undefined : pairsOf(answer.responses[0])[0];
  return {
    key,
    createRevision: existing?.createRevision ?? answer.revision,
    revision: answer.revision,
    existing,
    first: pairsOf(answer.responses[1])[0],
  };
}

/**
 * Waits until nobody stands in front of `createRevision`.
 *
 * @throws {CallerGone}
 */
export async function waitForTurn(
  client: LocalClient,
  prefix: Uint8Array,
  createRevision: number,
  call: RecipeCall,
): Promise<void> {
  for (;;) {
    if (call.cancelled) throw new CallerGone();
    const { kvs, revision } = await client.range(
      rangeOf(prefix, {
        rangeEnd: prefixEnd(prefix),
        limit: 1,
        sortOrder: SortOrder.Descend,
        sortTarget: SortTarget.Create,
        maxCreateRevision: createRevision - 1,
      }),
    );
    if (createRevision <= 1 || kvs.length === 0) return;
    await client.waitForChange({ key: kvs[0].key, rangeEnd: new Uint8Array(0) }, revision + 1, call);
  }
}

/** Gives the place up. */
export async function leave(client: LocalClient, key: Uint8Array): Promise<void> {
  await client.delete(key);
}
