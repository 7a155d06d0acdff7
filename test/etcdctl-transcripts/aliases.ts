/**
 * Recorded texts that are others in this run: addresses, since ports must be free, and the ids that derive from them. A
 * server that is alone need not be reached by its peer URL, so it advertises the recorded one and keeps its ids.
 */
import { deriveClusterId, deriveMemberId } from "../../src/server/ids.ts";
import type { ServerPlan } from "./transcript.ts";

/** Printed with all their digits, so that columns are as wide. */
const smallestId = 1n << 60n;
const tokensMax = 10_000;

export class Aliases {
  readonly #pairs: (readonly [recorded: string, ours: string])[] = [];

  add(recorded: string, ours: string): void {
    this.#pairs.push([recorded, ours]);
  }

  addId(recorded: bigint, ours: bigint): void {
    this.add(recorded.toString(16), ours.toString(16));
    this.add(String(recorded), String(ours));
  }

  /** Recorded → ours. */
  expand(text: string): string {
    return this.#pairs.reduce((result, [recorded, ours]) => result.replaceAll(recorded, ours), text);
  }

  /** Ours → recorded. */
  contract(text: string): string {
    return this.#pairs.reduce((result, [recorded, ours]) => result.replaceAll(ours, recorded), text);
  }

  /**
   * Takes over the ids of a cluster whose peer addresses are known already. Members are listed by id, so a token is looked for
   * with which they come in the recorded order.
   *
   * @returns the token.
   */
  adoptCluster(plans: readonly ServerPlan[]): string {
    const recorded = idsOf(
      plans,
      ({ token }) => token,
      (url) => url,
    );
    for (let attempt = 0; attempt < tokensMax; attempt++) {
      const token = `${plans[0].token}-${attempt}`;
      const ours = idsOf(
        plans,
        () => token,
        (url) => this.expand(url),
      );
      if (ours.some((id) => id < smallestId) || orderOf(ours) !== orderOf(recorded)) continue;
      for (const [index, id] of recorded.entries()) this.addId(id, ours[index]);
      this.addId(deriveClusterId(recorded), deriveClusterId(ours));
      return token;
    }
    throw new Error("no token gives the members their recorded order");
  }
}

function idsOf(
  plans: readonly ServerPlan[],
  tokenOf: (plan: ServerPlan) => string,
  urlOf: (url: string) => string,
): bigint[] {
  return plans.map((plan) => deriveMemberId([urlOf(plan.peer)], tokenOf(plan)));
}

/** Positions by growing id. */
function orderOf(ids: readonly bigint[]): string {
  return [...ids.keys()].sort((a, b) => (ids[a] < ids[b] ? -1 : 1)).join();
}
