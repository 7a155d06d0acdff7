/** What may differ between two runs of one command: times, sizes, ids that the server draws, log lines of the client. */
import type { Observed, Step } from "./transcript.ts";

/** Pattern → replacement, applied in order to both sides. */
const rules: readonly (readonly [RegExp, string])[] = [
  // etcdutl's log: what Go's B+tree says of itself, then time and place in the source.
  [/^[^\t\n]+Z\t\w+\tbbolt\t.*\n/gm, ""],
  [/^[^\t\n]+Z\t(\w+)\t\S+\t/gm, "<TS>\t$1\t<CALLER>\t"],
  [/, "current-db-size(-in-use)?": "[^"]*"/g, ""],
  [/"(current-db-size[a-z-]*)": -?\d+/g, '"$1": <N>'],
  [/"took": "[^"]*"/g, '"took": "<D>"'],
  [/"raft_term":\d+/g, '"raft_term":<T>'],
  [/"raftTerm":\d+/g, '"raftTerm":<T>'],
  [/"(raftIndex|raftAppliedIndex)":\d+/g, '"$1":<N>'],
  [/"(dbSize|dbSizeInUse|totalSize)":\d+/g, '"$1":<N>'],
  [/"(RaftTerm|RaftIndex|RaftAppliedIndex|DBSize|DBSizeInUse|Size)" : \d+/g, '"$1" : <N>'],
  [/"took":"[^"]*"/g, '"took":"<D>"'],
  [/"Took" : \S+/g, '"Took" : <D>'],
  [/took = [0-9.]+(ns|µs|ms|s)/g, "took = <D>"],
  [/\b[0-9.]+(ns|µs|ms)\b/g, "<D>"],
  [/took [0-9.]+(ns|µs|ms|s)/g, "took <D>"],
  [/\b[0-9.]+ (B|kB|MB|GB)\b/g, "<SIZE>"],
  [/\b\d+%/g, "<P>"],
  [/remaining\(\d+s\)/g, "remaining(<TTL>)"],
  [/"ttl":\d+/g, '"ttl":<TTL>'],
  [/"TTL" : \d+/g, '"TTL" : <TTL>'],
  [/(true|false), (true|false), \d+, \d+, \d+,/g, "$1, $2, <T>, <N>, <N>,"],
  [/^Member +/gm, "Member "],
];

/** Log lines of the client: how many there are depends on time. */
const logLine = /^\{"level":"(warn|info|fatal)".*\n/gm;

export interface Comparable {
  readonly exit: number | string | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param variables - values captured so far, to be replaced by their names: lease ids, lock keys. */
export function comparable(step: Step, observed: Observed, variables: ReadonlyMap<string, string>): Comparable {
  if (step.compare === "exit") return { exit: observed.exit, stdout: "", stderr: "" };
  const text = (plain: string | undefined, base64: string | undefined): string =>
    plain ?? (base64 === undefined ? "" : Buffer.from(base64, "base64").toString("latin1"));
  return {
    exit: observed.exit,
    stdout: normalize(text(observed.stdout, observed.stdout_b64), step, variables),
    stderr: normalize(text(observed.stderr, observed.stderr_b64).replace(logLine, ""), step, variables),
  };
}

function normalize(text: string, step: Step, variables: ReadonlyMap<string, string>): string {
  let result = text;
  for (const [name, value] of variables) result = result.replaceAll(value, `\${${name}}`);
  for (const [pattern, replacement] of rules) result = result.replace(pattern, replacement);
  result = sortLeaseKeys(result);
  result = result.replace(/^[|+].*$/gm, (line) => tableLine(line, step.table_numbers === true));
  return step.sort_lines === true ? result.split("\n").sort().join("\n") : result;
}

/** The keys of a lease come in any order: sorted, in each of the three forms. */
function sortLeaseKeys(text: string): string {
  const sorted = (keys: string, separator: string): string => keys.split(separator).sort().join(separator);
  return text
    .replace(/attached keys\(\[([^\]]*)\]\)/g, (_, keys: string) => `attached keys([${sorted(keys, " ")}])`)
    .replace(/"keys":\[([^\]]*)\]/g, (_, keys: string) => `"keys":[${sorted(keys, ",")}]`)
    .replace(
      /("GrantedTTL" : \d+\n)((?:"Key" : .*\n)+)/g,
      (_, head: string, keys: string) => head + sorted(keys, "\n"),
    );
}

function tableLine(line: string, hidesNumbers: boolean): string {
  const squeezed = line.replace(/-+/g, "-").replace(/ +/g, " ");
  return hidesNumbers ? squeezed.replace(/\b\d+\b/g, "<N>") : squeezed;
}
