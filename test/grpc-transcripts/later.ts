/** What of the recorded scenes belongs to work that comes later, and so does not run yet. */
import type { Step } from "./transcript.ts";

/** Scene → why none of it runs; they are not among the fixtures. */
export const laterScenes: Readonly<Record<string, string>> = {
  "auth-enforced": "needs users and roles",
  "auth-jwt": "needs users and roles",
  "auth-setup": "needs users and roles",
  cluster3: "needs several members",
};

/** `cluster-single` adds, changes and removes members; until that works only these steps can be equal. */
const membershipListSteps: ReadonlySet<number> = new Set([1, 2]);

export function isLater(scene: string, step: Step): boolean {
  return scene === "cluster-single" && step.kind !== "server" && !membershipListSteps.has(step.n);
}
