/** What must be equal of two answers: everything but times, sizes and raft's own counts, and lists without an order. */
import type { Answer, Json } from "./transcript.ts";

type Fields = { [name: string]: Json };

/** Depend on elections and internal entries, or on how pages were allocated. */
const everywhere = new Set(["raft_term", "raftTerm", "raftIndex", "raftAppliedIndex", "dbSize", "dbSizeInUse"]);

/** Per method; each gets its own copy of the answer. */
const perMethod: readonly (readonly [RegExp, (answer: Fields) => void])[] = [
  [
    /\/LeaseTimeToLive$/,
    (answer) => {
      if (answer["TTL"] !== "-1") delete answer["TTL"];
      sort(answer, "keys");
    },
  ],
  [/\/LeaseLeases$/, (answer) => sort(answer, "leases")],
  [/\/Hash$/, (answer) => delete answer["hash"]],
  [/\/Status$/, (answer) => sort(answer, "errors")],
  [/\/Alarm$/, (answer) => sort(answer, "alarms")],
  [/\/Member\w+$/, (answer) => sort(answer, "members", (member) => JSON.stringify((member as Fields)["peerURLs"]))],
];

/** @param norm - paths that this step leaves out, such as `res.header.revision`. */
export function comparable(method: string, { res, res_b64, status }: Answer, norm: readonly string[]): Fields {
  const fields: Fields = {};
  if (res !== undefined) fields["res"] = comparableMessage(method, res);
  if (res_b64 !== undefined) fields["res_b64"] = res_b64;
  if (status !== undefined) fields["status"] = { code: status.code, message: status.message ?? "" };
  for (const path of norm) leaveOut(fields, path.split("."));
  return fields;
}

function comparableMessage(method: string, json: Json): Json {
  const message = withoutVolatile(json) as Fields;
  for (const [pattern, normalize] of perMethod) if (pattern.test(method)) normalize(message);
  return message;
}

function withoutVolatile(json: Json): Json {
  if (Array.isArray(json)) return (json as readonly Json[]).map(withoutVolatile);
  if (typeof json !== "object" || json === null) return json;
  const kept = Object.entries(json).filter(([name]) => !everywhere.has(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, withoutVolatile(value)]));
}

function leaveOut(fields: Fields, [name, ...rest]: readonly string[]): void {
  if (rest.length === 0) delete fields[name];
  else if (typeof fields[name] === "object") leaveOut(fields[name] as Fields, rest);
}

function sort(answer: Fields, name: string, key: (item: Json) => string = JSON.stringify): void {
  const list = answer[name];
  if (!Array.isArray(list)) return;
  answer[name] = [...(list as readonly Json[])].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
