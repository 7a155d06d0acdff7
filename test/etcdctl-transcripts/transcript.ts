/**
 * Transcripts of etcdctl: commands in order, each with what it printed and its exit code. One scene a file, a JSON
 * object a line, the servers to start in the first one.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

export interface ServerPlan {
  readonly id: string;
  readonly name: string;
  /** URLs as recorded; member ids derive from the peer URL and the token. */
  readonly client: string;
  readonly peer: string;
  readonly token: string;
  /** `--initial-cluster` of a server that is not alone. */
  readonly cluster?: string;
  readonly flags: readonly string[];
}

export interface Scene {
  readonly transcript: string;
  readonly servers: readonly ServerPlan[];
  readonly env: Readonly<Record<string, string>>;
  readonly member_ids: Readonly<Record<string, string>>;
}

/** What a command did. Text that is not UTF-8 is in the `_b64` members. */
export interface Observed {
  exit?: number | string;
  stdout?: string;
  stdout_b64?: string;
  stderr?: string;
  stderr_b64?: string;
}

export interface Step extends Observed {
  readonly n: number;
  readonly kind: "cli" | "bg-start" | "bg-stdin" | "bg-until" | "bg-end" | "wait" | "file" | "server";
  readonly argv?: readonly string[];
  readonly tool?: string;
  readonly stdin?: string;
  readonly stdin_b64?: string;
  readonly env?: Readonly<Record<string, string | null>>;
  readonly capture?: Readonly<Record<string, string>>;
  readonly compare?: "exit";
  readonly sort_lines?: boolean;
  readonly table_numbers?: boolean;
  readonly may_hang?: boolean;
  readonly timeout_ms?: number;
  readonly bg?: string;
  readonly ready_ms?: number;
  readonly until?: string;
  readonly text?: string;
  readonly signal?: NodeJS.Signals;
  readonly ms?: number;
  readonly path?: string;
  readonly exists?: boolean;
  /** Of a `server` step: which one, and what becomes of it. */
  readonly on?: string;
  readonly do?: "lead" | "stop";
}

export interface Transcript {
  readonly scene: Scene;
  readonly steps: readonly Step[];
}

/** Reads a file as recorded (`.jsonl`) or compressed (`.jsonl.gz`). */
export function readTranscript(path: string): Transcript {
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  const lines = text.split("\n").filter((line) => line !== "");
  const [scene, ...steps] = lines.map((line) => JSON.parse(line) as unknown);
  return { scene: scene as Scene, steps: steps as Step[] };
}
