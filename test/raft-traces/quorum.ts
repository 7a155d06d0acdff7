/** The quorum traces: commit index and vote result of majority and joint quorums. */
import { JointConfig } from "../../src/raft/quorum/joint.ts";
import { MajorityConfig } from "../../src/raft/quorum/majority.ts";
import type { VoteResult } from "../../src/raft/quorum/vote-result.ts";
import { ScriptError, toId, toInteger } from "./script.ts";
import type { Step } from "./script.ts";

const voteNames: Record<VoteResult, string> = { pending: "VotePending", lost: "VoteLost", won: "VoteWon" };

interface Setup {
  incoming: bigint[];
  outgoing: bigint[];
  joint: boolean;
  /** One value per distinct voter, in order of appearance; `_` for unknown. */
  values: string[];
}

export function runQuorumStep(step: Step): string {
  const setup = readSetup(step);
  const order = [...new Set([...setup.incoming, ...setup.outgoing])];
  if (order.length !== setup.values.length) return mismatch(step.command, order, setup.values);

  const known = new Map<bigint, string>();
  for (const [i, id] of order.entries()) if (setup.values[i] !== "_") known.set(id, setup.values[i]);
  const incoming = MajorityConfig.of(setup.incoming);
  const config = new JointConfig(incoming, MajorityConfig.of(setup.outgoing));
  const quorum = setup.joint ? config : incoming;

  if (step.command === "committed") {
    const acked = (id: bigint): number | undefined => {
      const value = known.get(id);
      return value === undefined ? undefined : toInteger(value);
    };
    const index = quorum.committedIndex(acked);
    return `${quorum.describe(acked)}${index === Infinity ? "∞" : index}\n`;
  }
  const votes = new Map([...known].map(([id, value]) => [id, toVote(value)]));
  return `${voteNames[quorum.voteResult(votes)]}\n`;
}

function readSetup(step: Step): Setup {
  const setup: Setup = { incoming: [], outgoing: [], joint: false, values: [] };
  const valueKey = step.command === "vote" ? "votes" : "idx";
  for (const { key, values } of step.args) {
    const given = values.filter((value) => value !== "");
    if (key === "cfg") {
      setup.incoming.push(...given.map(toId));
    } else if (key === "cfgj") {
      setup.joint = true;
      if (given[0] !== "zero") setup.outgoing.push(...given.map(toId));
    } else if (key === valueKey) {
      setup.values.push(...given);
    } else {
      throw new ScriptError(`line ${step.line}: unknown argument ${key}`);
    }
  }
  return setup;
}

function toVote(text: string): boolean {
  if (text !== "y" && text !== "n") throw new ScriptError(`unknown vote: ${text}`);
  return text === "y";
}

/** Go's print of a set of ids, and of the values as numbers: 0 for unknown, votes as 1 (no) and 2 (yes). */
function mismatch(command: string, order: readonly bigint[], values: readonly string[]): string {
  const voters = MajorityConfig.of(order).ids.map((id) => `${id}:{}`);
  const numbers = values.map((value) => {
    if (value === "_") return 0;
    return command === "vote" ? (toVote(value) ? 2 : 1) : toInteger(value);
  });
  return `error: mismatched input (explicit or _) for voters map[${voters.join(" ")}]: [${numbers.join(" ")}]`;
}
