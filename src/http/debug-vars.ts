/**
 * `/debug/vars`: what Go's expvar shows of an etcd: command line, memory, file limit, raft. `memstats` has the names of
 * Go's `runtime.MemStats` that have an honest value here.
 */
import { redactArguments } from "../base/redact.ts";
import { getHeapStatistics } from "node:v8";
import { formatId } from "../membership/member.ts";
import type { Member } from "../server/member.ts";
import { openFileLimit } from "./metrics/runtime-metrics.ts";
import type { Page } from "./page.ts";
import { onlyGet } from "./responses.ts";

const raftStates = {
  follower: "StateFollower",
  preCandidate: "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
} as const;
const progressStates = { probe: "StateProbe", replicate: "StateReplicate", snapshot: "StateSnapshot" } as const;

export function debugVarsPage(member: Member): Page {
  const fileLimit = openFileLimit(member.platform.disk);
  return (request, response) => {
    if (!onlyGet(request, response)) return;
    const values: Readonly<Record<string, unknown>> = {
      cmdline: redactArguments(process.argv.slice(1)),
      file_descriptor_limit: fileLimit,
      memstats: memoryStatistics(),
      "raft.status": raftStatus(member),
    };
    const lines = Object.entries(values).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    response.writeHead(200, { "Content-Type": "application/json; charset=utf-8" });
    response.end(`{\n${lines.join(",\n")}\n}\n`);
  };
}

function memoryStatistics(): Record<string, number> {
  const heap = getHeapStatistics();
  return {
    Alloc: heap.used_heap_size,
    Sys: process.memoryUsage.rss(),
    HeapAlloc: heap.used_heap_size,
    HeapSys: heap.total_heap_size,
    HeapIdle: heap.total_available_size,
    HeapInuse: heap.total_physical_size,
    OtherSys: heap.external_memory,
    NextGC: heap.heap_size_limit,
  };
}

function raftStatus(member: Member): Record<string, unknown> {
  const { id, hardState, softState, applied, leadTransferee, progress } = member.raftStatus();
  return {
    id: formatId(id),
    term: hardState.term,
    vote: formatId(hardState.vote),
    commit: hardState.commit,
    lead: formatId(softState.lead),
    raftState: raftStates[softState.role],
    applied,
    progress: Object.fromEntries(
      [...progress].map(([peer, { match, next, state }]) => [
        formatId(peer),
        { match, next, state: progressStates[state] },
      ]),
    ),
    leadtransferee: formatId(leadTransferee),
  };
}
