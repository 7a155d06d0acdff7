/**
 * Replays a scene against a server and tells where its answers differ from the recorded ones. What depends on the run
 * (terms, sizes, remaining TTLs, order) is taken out on both sides, as the fixtures' normalize.json says.
 */
import { request, type ClientRequest, type IncomingMessage } from "node:http";
import { createHash } from "node:crypto";
import type { Scene, Step } from "./transcript.ts";
import { WebSocketClient } from "./web-socket.ts";

export interface Difference {
  readonly step: Step;
  readonly what: "status" | "headers" | "body" | "metrics";
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Where the server under test listens. */
export interface Urls {
  readonly client: string;
  readonly peer: string;
  readonly metrics?: string;
  /** Of `--listen-client-http-urls`. */
  readonly http?: string;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** Fields that differ from run to run. */
const volatileFields = new Set(["raft_term", "raftTerm", "raftIndex", "raftAppliedIndex", "dbSize", "dbSizeInUse"]);
const volatileHeaders = new Set(["content-length", "date"]);

/** @param skipped - numbers of steps that are not made. */
export async function replay(
  scene: Scene,
  urls: Urls,
  skipped: ReadonlySet<number> = new Set(),
): Promise<Difference[]> {
  const run = new Replay(urls);
  try {
    for (const step of scene.steps) if (!skipped.has(step.n)) await run.step(step);
  } finally {
    run.close();
  }
  return run.differences;
}

class Replay {
  readonly differences: Difference[] = [];
  readonly #urls: Urls;
  readonly #variables = new Map<string, string>();
  readonly #streams = new Map<string, HttpStream>();
  readonly #sockets = new Map<string, WebSocketClient>();

  constructor(urls: Urls) {
    this.#urls = urls;
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case "http":
        return this.#exchange(step);
      case "http-open":
        return this.#open(step);
      case "http-recv": {
        const lines = await this.#stream(step).take(step.count ?? 1);
        if (step.norm?.includes("lines") !== true) this.#compareTexts(step, step.lines ?? [], lines);
        return;
      }
      case "http-quiet": {
        const stream = this.#stream(step);
        await new Promise((resolve) => setTimeout(resolve, step.ms));
        this.#compare(
          step,
          "body",
          { lines: 0, ended: step.ended },
          { lines: stream.lines.length, ended: stream.ended },
        );
        return;
      }
      case "http-end": {
        const stream = this.#stream(step);
        await stream.end();
        this.#compare(step, "status", step.status, stream.response?.statusCode);
        this.#compareTexts(step, step.left ?? [], stream.lines);
        return;
      }
      case "http-close":
        return this.#stream(step).close();
      case "ws-open": {
        const socket = await WebSocketClient.open(this.#urls.client, step.path ?? "/", this.#filledHeaders(step));
        this.#sockets.set(step.stream ?? "", socket);
        const [statusLine, ...headers] = socket.head.split("\r\n");
        this.#compare(step, "status", "HTTP/1.1 101 Switching Protocols", statusLine);
        this.#compare(step, "headers", lowered(step.res_headers ?? {}), lowered(headerLines(headers)));
        return;
      }
      case "ws-send":
        return this.#socket(step).send(this.#fill(step.text ?? ""));
      case "ws-recv": {
        const texts: string[] = [];
        while (texts.length < (step.count ?? 1)) {
          const frame = await this.#socket(step).receive();
          if (frame === undefined) break;
          if (frame.opcode === 1) texts.push(frame.payload.toString());
        }
        return this.#compareTexts(step, step.texts ?? [], texts);
      }
      case "ws-close":
        return this.#socket(step).close();
      case "wait":
        await new Promise((resolve) => setTimeout(resolve, step.ms));
    }
  }

  close(): void {
    for (const stream of this.#streams.values()) stream.close();
    for (const socket of this.#sockets.values()) socket.close();
  }

  async #exchange(step: Step): Promise<void> {
    const answer = await exchange(this.#send(step));
    for (const [name, path] of Object.entries(step.save ?? {})) {
      const value = path
        .split(".")
        .reduce((at: unknown, key) => (at as Record<string, unknown>)[key], parsed(answer.body));
      this.#variables.set(name, String(value));
    }
    this.#compare(step, "status", step.status, answer.status);
    if (step.norm?.includes("res_headers") !== true && step.view !== "metrics")
      this.#compareHeaders(step, answer.headers);
    this.#compareBody(step, answer.body);
  }

  #compareHeaders(step: Step, headers: Record<string, string>): void {
    this.#compare(step, "headers", lowered(step.res_headers ?? {}), lowered(headers));
  }

  #compareBody(step: Step, body: string): void {
    if (step.norm?.includes("res_body") === true) return;
    switch (step.view) {
      case "metrics":
        return this.#compareMetrics(step, body);
      case "keys":
        return this.#compare(step, "body", step.res_keys, Object.keys(parsed(body) as object).sort());
      case "head":
        return this.#compare(step, "body", true, body.startsWith(step.res_body_starts ?? ""));
      case "snapshot":
        return this.#compare(step, "body", { digest: true }, { digest: snapshotIsWhole(body) });
      case undefined: {
        const expected = this.#fill(step.res_body ?? "");
        if (isJson(expected))
          this.#compareTexts(step, expected.split("\n").filter(Boolean), body.split("\n").filter(Boolean));
        else this.#compare(step, "body", sortedChecks(expected), sortedChecks(body));
      }
    }
  }

  #compareMetrics(step: Step, body: string): void {
    const expected = Object.keys(step.metrics ?? {});
    const actual = new Set([...body.matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]));
    this.#compare(
      step,
      "metrics",
      [],
      expected.filter((name) => !actual.has(name)),
    );
  }

  #compareTexts(step: Step, expected: readonly string[], actual: readonly string[]): void {
    const shown = (text: string): unknown => normalized(parsed(this.#fill(text)), step);
    this.#compare(step, "body", expected.map(shown), actual.map(shown));
  }

  #compare(step: Step, what: Difference["what"], expected: unknown, actual: unknown): void {
    if (JSON.stringify(expected) !== JSON.stringify(actual)) this.differences.push({ step, what, expected, actual });
  }

  async #open(step: Step): Promise<void> {
    const stream = new HttpStream(this.#send(step));
    this.#streams.set(step.stream ?? "", stream);
    if (step.no_wait === true) return;
    await stream.opened();
    this.#compare(step, "status", step.status, stream.response?.statusCode);
    this.#compareHeaders(step, plainHeaders(stream.response));
  }

  #send(step: Step): ClientRequest {
    const base = this.#urls[step.port ?? "client"] ?? "";
    const { hostname, port } = new URL(base);
    const body = this.#bodyOf(step);
    // Node says nothing of a body that comes with a GET, which some of the peers' pages want.
    const length = body === undefined || step.method !== "GET" ? {} : { "Content-Length": body.length };
    const sent = request({
      hostname,
      port,
      path: step.path,
      method: step.method,
      headers: { ...length, ...this.#filledHeaders(step) },
      agent: false,
    });
    sent.end(body);
    return sent;
  }

  #bodyOf(step: Step): Buffer | undefined {
    if (step.body_b64 !== undefined) return Buffer.from(step.body_b64, "base64");
    if (step.body_parts !== undefined) {
      return Buffer.from(
        step.body_parts.map((part) => (typeof part === "string" ? part : part.repeat.repeat(part.count))).join(""),
      );
    }
    return step.body === undefined ? undefined : Buffer.from(this.#fill(step.body));
  }

  #filledHeaders({ headers = {} }: Step): Record<string, string> {
    return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, this.#fill(value)]));
  }

  #fill(text: string): string {
    return text.replace(/\$\{(\w+)\}/g, (whole, name: string) => this.#variables.get(name) ?? whole);
  }

  #stream(step: Step): HttpStream {
    const stream = this.#streams.get(step.stream ?? "");
    if (stream === undefined) throw new Error(`step ${step.n}: no stream ${step.stream}`);
    return stream;
  }

  #socket(step: Step): WebSocketClient {
    const socket = this.#sockets.get(step.stream ?? "");
    if (socket === undefined) throw new Error(`step ${step.n}: no websocket ${step.stream}`);
    return socket;
  }
}

/** A streaming answer, cut into lines. */
class HttpStream {
  readonly lines: string[] = [];
  response: IncomingMessage | undefined;
  ended = false;
  readonly #request: ClientRequest;
  #rest = "";
  #wake: (() => void) | undefined;

  constructor(sent: ClientRequest) {
    this.#request = sent;
    sent.on("response", (response) => {
      this.response = response;
      response.on("data", (chunk: Buffer) => {
        const parts = (this.#rest + chunk.toString()).split("\n");
        this.#rest = parts.pop() ?? "";
        this.lines.push(...parts);
        this.#wake?.();
      });
      response.on("end", () => this.#finish());
      response.on("error", () => this.#finish());
      this.#wake?.();
    });
    sent.on("error", () => this.#finish());
  }

  async opened(): Promise<void> {
    await this.#until(() => this.response !== undefined);
  }

  /** Takes the next lines out; fewer when the answer ends before. */
  async take(count: number): Promise<string[]> {
    await this.#until(() => this.lines.length >= count);
    return this.lines.splice(0, count);
  }

  async end(): Promise<void> {
    await this.#until(() => this.ended);
  }

  close(): void {
    this.#request.destroy();
  }

  #finish(): void {
    if (this.#rest !== "") this.lines.push(this.#rest);
    this.#rest = "";
    this.ended = true;
    this.#wake?.();
  }

  async #until(reached: () => boolean): Promise<void> {
    while (!reached() && !this.ended) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

function exchange(sent: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    sent.on("error", reject);
    sent.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: plainHeaders(response),
          body: Buffer.concat(chunks).toString(),
        }),
      );
    });
  });
}

function plainHeaders(response: IncomingMessage | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(response?.headers ?? {}).map(([name, value]) => [name, String(value)]));
}

function headerLines(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
  );
}

function lowered(headers: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(headers)
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => !volatileHeaders.has(name))
    .sort(([one], [other]) => (one < other ? -1 : 1));
}

function isJson(text: string): boolean {
  return text.startsWith("{");
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The order of the single checks of /readyz?verbose is random in etcd. */
function sortedChecks(text: string): string {
  return /^\[[+-]\]/.test(text) ? text.split("\n").sort().join("\n") : text;
}

function normalized(value: unknown, step: Step, name = ""): unknown {
  if (Array.isArray(value)) {
    const items = value.map((item) => normalized(item, step));
    if (name === "members") return sortedByUrl(items);
    return name === "leases" ? sortedById(items) : items;
  }
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value)
    .filter(([key]) => !(step.soft_message === true && key === "message"))
    .map(([key, item]): [string, unknown] => [key, isVolatile(key, step) ? "*" : normalized(item, step, key)]);
  return Object.fromEntries(entries.sort(([one], [other]) => (one < other ? -1 : 1)));
}

function isVolatile(key: string, step: Step): boolean {
  if (volatileFields.has(key)) return true;
  if (key === "TTL" && step.path?.endsWith("/timetolive") === true) return true;
  return key === "hash" && step.path === "/v3/maintenance/hash";
}

function sortedById(items: unknown[]): unknown[] {
  const idOf = (item: unknown): bigint => BigInt((item as { ID?: string }).ID ?? 0);
  return items.sort((one, other) => (idOf(one) < idOf(other) ? -1 : 1));
}

/** Members come in the order of their ids, and that of a new one is chance. */
function sortedByUrl(items: unknown[]): unknown[] {
  const urlOf = (item: unknown): string => String((item as { peerURLs?: string[] }).peerURLs);
  return items.sort((one, other) => (urlOf(one) < urlOf(other) ? -1 : 1));
}

/** Blobs of a snapshot, the last of which is the SHA-256 of the others. */
function snapshotIsWhole(body: string): boolean {
  const blobs = body
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { result: { blob: string } }).result.blob)
    .map((text) => Buffer.from(text, "base64"));
  const digest = blobs.pop();
  const hash = createHash("sha256");
  for (const blob of blobs) hash.update(blob);
  return digest !== undefined && hash.digest().equals(digest);
}
