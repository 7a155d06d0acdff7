/**
 * Transcripts of the gRPC port: what a client of etcd 3.5.30 asked and what it was answered, in protobuf JSON. One scene
 * a file, a JSON object a line, the servers to start in the first one.
 */
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/** Protobuf JSON with the names of the .proto files; `{"$repeat": {b64, times}}` and `{"$sha256", len}` stand for long bytes. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export interface ServerPlan {
  readonly id: string;
  readonly name: string;
  /** URLs as recorded; member ids derive from the peer URL and the token. */
  readonly client: string;
  readonly peer: string;
  readonly token: string;
  readonly flags?: readonly string[];
  /** Of several members: all of them, as `--initial-cluster`. Their ports are the recorded ones, as the ids derive from them. */
  readonly cluster?: string;
  /** Joins a cluster when a step starts it. */
  readonly state?: "existing";
  readonly autostart?: boolean;
}

export interface Scene {
  readonly transcript: string;
  readonly servers: readonly ServerPlan[];
  /** Of several members: who leads at the beginning. */
  readonly leader?: string;
  /** Name → text, to be written where `${WORK}` in flags points. */
  readonly files?: Readonly<Record<string, string>>;
  readonly member_ids: Readonly<Record<string, string>>;
}

export interface Status {
  readonly code: number;
  readonly message?: string;
}

/** One answer: a message or a status. */
export interface Answer {
  res?: Json;
  /** Only where no message is named (`raw`). */
  res_b64?: string;
  status?: Status;
}

interface Numbered {
  readonly n: number;
  readonly about?: string;
}

interface RequestParts {
  readonly method: string;
  readonly req?: Json;
  /** The exact bytes, unless they depend on values of this run (`vars`) or are long. */
  readonly req_b64?: string;
  readonly req_raw?: string;
  readonly vars?: boolean;
}

export interface UnaryStep extends Numbered, RequestParts, Answer {
  readonly kind: "unary";
  readonly on: string;
  readonly meta?: Readonly<Record<string, string>>;
  readonly raw?: boolean;
  /** Name of a variable → path in the answer. */
  readonly save?: Readonly<Record<string, string>>;
  /** Paths of the answer to leave out. */
  readonly norm?: readonly string[];
}

export interface OpenStep extends Numbered {
  readonly kind: "open";
  readonly on: string;
  readonly stream: string;
  readonly method: string;
  readonly meta?: Readonly<Record<string, string>>;
}

export interface SendStep extends Numbered, RequestParts {
  readonly kind: "send";
  readonly stream: string;
}

export interface ReceiveStep extends Numbered {
  readonly kind: "recv";
  readonly stream: string;
  readonly method: string;
  readonly count: number;
  readonly messages: readonly Answer[];
  readonly unordered?: boolean;
}

export interface StreamStep extends Numbered {
  readonly kind: "half-close" | "cancel";
  readonly stream: string;
}

export interface QuietStep extends Numbered {
  readonly kind: "quiet";
  readonly stream: string;
  readonly ms: number;
  /** Whether the stream was over. */
  readonly ended: boolean;
}

export interface EndStep extends Numbered {
  readonly kind: "end";
  readonly stream: string;
  readonly status: Status;
  readonly left_unread: number;
}

export interface DrainStep extends Numbered {
  readonly kind: "drain";
  readonly stream: string;
  readonly method: string;
  readonly total_is_pages_plus_32: boolean;
  readonly trailing_sha256_ok: boolean;
  readonly remaining_goes_down_to_zero: boolean;
  readonly status: Status;
}

export interface WaitStep extends Numbered {
  readonly kind: "wait";
  readonly ms: number;
}

export interface AwaitStep extends Numbered, RequestParts {
  readonly kind: "await";
  readonly on: string;
  readonly field: string;
  readonly equals: string;
}

export interface ServerStep extends Numbered {
  readonly kind: "server";
  readonly on: string;
  readonly do: "stop" | "kill" | "start" | "restart" | "lead";
  /** With `start`: `--initial-cluster`. */
  readonly cluster?: string;
}

export interface Http2Step extends Numbered, Http2Answer {
  readonly kind: "h2";
  readonly on: string;
  readonly h2_headers: Readonly<Record<string, string>>;
  /** Absent: headers only, and the request stays open unless it is a GET. */
  readonly h2_body_b64?: string;
}

/** What came back for a bare request. */
export interface Http2Answer {
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly trailers?: Readonly<Record<string, string>>;
  readonly rst_code?: number;
  readonly body_b64?: string;
  /** Nothing came. */
  readonly timeout?: boolean;
}

export type Step =
  | UnaryStep
  | OpenStep
  | SendStep
  | ReceiveStep
  | StreamStep
  | QuietStep
  | EndStep
  | DrainStep
  | WaitStep
  | AwaitStep
  | ServerStep
  | Http2Step;

export interface Transcript {
  readonly scene: Scene;
  readonly steps: readonly Step[];
}

/** Reads a compressed transcript. */
export function readTranscript(path: string): Transcript {
  const lines = gunzipSync(readFileSync(path))
    .toString("utf8")
    .split("\n")
    .filter((line) => line !== "");
  const [scene, ...steps] = lines.map((line) => JSON.parse(line) as unknown);
  return { scene: scene as Scene, steps: steps as Step[] };
}
