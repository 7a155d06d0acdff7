/** Recorded HTTP conversations: one scene a file, one step a line (fixtures: transcripts/gateway). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

const folder = join(import.meta.dirname, "../fixtures/transcripts/gateway");

export interface SceneServer {
  readonly id: string;
  readonly name: string;
  /** URLs as recorded; the member listens elsewhere and only advertises them, so that ids and answers are the same. */
  readonly client: string;
  readonly peer: string;
  readonly token: string;
  readonly flags: readonly string[];
}

/** What a metric looks like, apart from its values. */
export interface MetricShape {
  readonly type: string;
  readonly labels: readonly string[];
  readonly help: string;
}

export interface Step {
  readonly n: number;
  readonly about?: string;
  readonly kind:
    | "http"
    | "http-open"
    | "http-recv"
    | "http-quiet"
    | "http-end"
    | "http-close"
    | "ws-open"
    | "ws-send"
    | "ws-recv"
    | "ws-close"
    | "wait";
  readonly method?: string;
  readonly path?: string;
  readonly port?: "peer" | "metrics" | "http";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly body_b64?: string;
  readonly body_parts?: readonly (string | { readonly repeat: string; readonly count: number })[];
  readonly status?: number;
  readonly res_headers?: Readonly<Record<string, string>>;
  readonly res_body?: string;
  readonly res_body_starts?: string;
  readonly res_keys?: readonly string[];
  readonly metrics?: Readonly<Record<string, MetricShape>>;
  readonly view?: "metrics" | "keys" | "head" | "snapshot";
  readonly soft_message?: boolean;
  readonly library_specific?: boolean;
  /** What not to compare. */
  readonly norm?: readonly string[];
  readonly save?: Readonly<Record<string, string>>;
  readonly stream?: string;
  readonly no_wait?: boolean;
  readonly count?: number;
  readonly lines?: readonly string[];
  readonly left?: readonly string[];
  readonly ended?: boolean;
  readonly ms?: number;
  readonly text?: string;
  readonly texts?: readonly string[];
}

export interface Scene {
  readonly name: string;
  readonly server: SceneServer;
  readonly steps: readonly Step[];
}

export function readScene(name: string): Scene {
  const text = gunzipSync(readFileSync(join(folder, `${name}.jsonl.gz`))).toString();
  const [head, ...steps] = text
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));
  const { servers } = head as { servers: SceneServer[] };
  return { name, server: servers[0], steps: steps as Step[] };
}
