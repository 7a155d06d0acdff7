/**
 * The short notation for configuration changes in traces and descriptions: blank-separated `vN` (make N a voter), `lN`
 * (learner), `rN` (remove), `uN` (update).
 */
import { ConfChangeType } from "../../wire/raft/types.ts";
import type { ConfChangeSingle } from "../../wire/raft/types.ts";

const letters = ["v", "r", "u", "l"] as const satisfies string[]; // by ConfChangeType
const types = new Map<string, ConfChangeType>([
  ["v", ConfChangeType.AddNode],
  ["r", ConfChangeType.RemoveNode],
  ["u", ConfChangeType.UpdateNode],
  ["l", ConfChangeType.AddLearnerNode],
]);

export function formatConfChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map((change) => `${letters[change.type]}${change.nodeId}`).join(" ");
}

/** @throws {Error} with the text that etcd-io/raft gives for a token it does not know. */
export function parseConfChanges(text: string): ConfChangeSingle[] {
  const trimmed = text.trim();
  if (trimmed === "") return [];
  return trimmed.split(" ").map((token) => {
    if (token.length < 2) throw new Error(`unknown token ${token}`);
    const type = types.get(token[0]);
    if (type === undefined) throw new Error(`unknown input: ${token}`);
    const digits = token.slice(1);
    if (!/^\d+$/.test(digits)) {
      throw new Error(`strconv.ParseUint: parsing ${JSON.stringify(digits)}: invalid syntax`);
    }
    return { type, nodeId: BigInt(digits) };
  });
}
