/**
 * A client that keeps one short lease alive, with a key on it, and otherwise asks for nothing: so it stays with its member
 * where others time out, and renews at a leader that is none any more if that one lets it.
 */
import type { SeededRandom } from "../../src/platform/virtual/index.ts";
import type { Request } from "../history/history.ts";
import type { RecordingClient } from "../history/recorder.ts";

/** The shortest that members grant with their default election timeout. */
const ttlSeconds = 2;
const renewEveryMs = 250;

export interface LeaseKeeperParts {
  readonly id: number;
  readonly random: SeededRandom;
  /** A client of some member that is told by number. */
  readonly connect: (choice: number) => RecordingClient;
  readonly sleep: (milliseconds: number) => Promise<void>;
  readonly isOver: () => boolean;
}

export async function keepLeases({ id, random, connect, sleep, isOver }: LeaseKeeperParts): Promise<void> {
  for (let leases = 1; !isOver(); leases++) {
    const client = connect(random.below(1_000));
    const lease = String((id + 1) * 1_000_000 + leases);
    const done = async (request: Request): Promise<boolean> => (await client.perform(request)).kind === "ok";
    if (!(await done({ kind: "leaseGrant", lease, ttlSeconds }))) continue;
    if (!(await done({ kind: "put", key: `kept-${id}`, value: `c${id}-${leases}`, lease }))) continue;
    let troubles = 0;
    while (!isOver() && troubles < 6) {
      await sleep(random.float() * 2 * renewEveryMs);
      const outcome = await client.perform({ kind: "leaseKeepAlive", lease });
      if (outcome.kind !== "ok") troubles++;
      else if (outcome.result.kind !== "leaseKeepAlive" || outcome.result.ttlSeconds === 0) break;
    }
  }
}
