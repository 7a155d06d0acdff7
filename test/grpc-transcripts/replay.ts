/** Plays a transcript: starts its servers, makes its calls in order, and holds every answer against the recorded one. */
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import { MoveLeaderRequest, SnapshotResponse } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { removeFolder, temporaryFolder } from "../support/process.ts";
import { bareRequest } from "./bare-http2.ts";
import { comparable } from "./compare.ts";
import { translate } from "./differences.ts";
import { decodeResponse, encodeRequest, expandVariables } from "./messages.ts";
import { pause, withPatience } from "./patience.ts";
import { SceneServer } from "./server.ts";
import { StreamInbox } from "./stream-inbox.ts";
import type {
  Answer,
  AwaitStep,
  DrainStep,
  EndStep,
  Json,
  OpenStep,
  QuietStep,
  ReceiveStep,
  Scene,
  SendStep,
  ServerStep,
  Step,
  Transcript,
  UnaryStep,
} from "./transcript.ts";

/** etcd's databases grow by pages of this size. */
const pageBytes = 4096;
const digestBytes = 32;

/** One answer that is not the recorded one. */
export interface Mismatch {
  readonly step: string;
  readonly ours: unknown;
  readonly recorded: unknown;
}

/**
 * @returns the answers that differ.
 * @throws when the scene cannot go on: an answer does not come, a server does not start.
 */
export async function replay({ scene, steps }: Transcript): Promise<Mismatch[]> {
  const mismatches: Mismatch[] = [];
  const player = new Player(scene, mismatches);
  try {
    await player.start();
    for (const step of steps) {
      try {
        await player.play(translate(scene.transcript, step));
      } catch (error) {
        throw new Error(`${labelOf(step)}; before: ${JSON.stringify(mismatches)}`, { cause: error });
      }
    }
  } finally {
    await player.close();
  }
  return mismatches;
}

function labelOf(step: Step): string {
  const about = step.about === undefined ? "" : ` (${step.about})`;
  return `step ${step.n}, ${step.kind}${about}`;
}

class Player {
  readonly #folder = temporaryFolder();
  readonly #servers = new Map<string, SceneServer>();
  readonly #streams = new Map<string, StreamInbox>();
  readonly #variables: Map<string, string>;
  readonly #mismatches: Mismatch[];
  readonly #leader: string | undefined;

  constructor(scene: Scene, mismatches: Mismatch[]) {
    this.#mismatches = mismatches;
    this.#leader = scene.leader;
    const platform = createNodePlatform({ log: createStderrLogger("fatal") });
    for (const [name, text] of Object.entries(scene.files ?? {})) writeFileSync(join(this.#folder, name), text);
    for (const plan of scene.servers) this.#servers.set(plan.id, new SceneServer(plan, this.#folder, platform));
    this.#variables = new Map(Object.entries(scene.member_ids));
  }

  async start(): Promise<void> {
    const servers = [...this.#servers.values()].filter(({ plan }) => plan.autostart !== false);
    await Promise.all(servers.map((server) => server.start()));
    if (this.#leader !== undefined) await this.#lead(this.#server(this.#leader));
  }

  async close(): Promise<void> {
    for (const server of this.#servers.values()) await server.close();
    removeFolder(this.#folder);
  }

  async play(step: Step): Promise<void> {
    switch (step.kind) {
      case "unary":
        return this.#unary(step);
      case "open":
        return this.#open(step);
      case "send":
        return this.#stream(step.stream).stream.send(this.#request(step));
      case "recv":
        return this.#receive(step);
      case "half-close":
        return this.#stream(step.stream).stream.halfClose();
      case "cancel":
        return this.#stream(step.stream).stream.cancel();
      case "quiet":
        return this.#quiet(step);
      case "end":
        return this.#end(step);
      case "drain":
        return this.#drain(step);
      case "wait":
        return pause(step.ms);
      case "await":
        return this.#await(step);
      case "server":
        return this.#change(this.#server(step.on), step);
      case "h2": {
        const { headers, trailers, rst_code, body_b64, timeout } = step;
        const recorded = withoutUndefined({ headers, trailers, rst_code, body_b64, timeout });
        return this.#same(step, await bareRequest(this.#server(step.on).endpoint, step), recorded);
      }
    }
  }

  async #change(server: SceneServer, step: ServerStep): Promise<void> {
    switch (step.do) {
      case "restart":
        return server.restart();
      case "stop":
        return server.stop();
      case "kill":
        return server.close();
      case "start":
        return server.start(step.cluster);
      case "lead":
        return this.#lead(server);
    }
  }

  /** Moves leadership to a member, and waits until all know. */
  async #lead(server: SceneServer): Promise<void> {
    const running = [...this.#servers.values()].filter((one) => one.isRunning);
    const poll = async (): Promise<void> => {
      for (;;) {
        const all = await Promise.all(running.map((one) => one.status()));
        const wanted = all[running.indexOf(server)].header?.memberId ?? 0n;
        if (all.every(({ leader }) => leader === wanted)) return;
        const leader = running[all.findIndex(({ header, leader: id }) => header?.memberId === id)];
        const request = MoveLeaderRequest.encode({ targetID: wanted }).finish();
        await leader?.client.unary("/etcdserverpb.Maintenance/MoveLeader", request).catch(() => undefined);
        await pause(50);
      }
    };
    await withPatience(poll(), () => `${server.plan.id} does not lead`);
  }

  async #unary(step: UnaryStep): Promise<void> {
    const { client } = this.#server(step.on);
    const answer = await this.#call(step, () => client.unary(step.method, this.#request(step), this.#options(step)));
    for (const [name, path] of Object.entries(step.save ?? {})) {
      this.#variables.set(name, valueAt(answer.res, path) as string);
    }
    const norm = step.norm ?? [];
    this.#same(step, comparable(step.method, answer, norm), comparable(step.method, this.#recorded(step), norm));
  }

  /** The answer in the form of the transcripts. */
  async #call(step: UnaryStep, call: () => Promise<Uint8Array>): Promise<Answer> {
    try {
      const bytes = await withPatience(call(), () => "the call is not answered");
      if (step.raw === true) return { res_b64: Buffer.from(bytes).toString("base64") };
      return { res: decodeResponse(step.method, bytes) };
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      return { status: { code: error.code, message: error.message } };
    }
  }

  #open(step: OpenStep): void {
    const stream = this.#server(step.on).client.stream(step.method, this.#options(step));
    this.#streams.set(step.stream, new StreamInbox(stream, step.method));
  }

  async #receive(step: ReceiveStep): Promise<void> {
    const messages = await this.#stream(step.stream).take(step.count);
    const answers = messages.map((bytes) => ({ res: decodeResponse(step.method, bytes) }));
    const ours = answers.map((answer) => comparable(step.method, answer, []));
    const theirs = step.messages.map((recorded) => comparable(step.method, this.#recorded(recorded), []));
    if (step.unordered === true) for (const list of [ours, theirs]) list.sort(byText);
    this.#same(step, ours, theirs);
  }

  async #quiet(step: QuietStep): Promise<void> {
    await pause(step.ms);
    const inbox = this.#stream(step.stream);
    this.#same(step, { unread: inbox.unread, ended: inbox.isOver }, { unread: 0, ended: step.ended });
  }

  async #end(step: EndStep): Promise<void> {
    const { status } = step;
    const inbox = this.#stream(step.stream);
    const ours = await inbox.ended();
    // The text of a cancellation is the client's own.
    const isOwn = status.message === "Cancelled on client";
    this.#same(
      step,
      { code: ours.code, message: isOwn ? status.message : ours.message, unread: inbox.unread },
      { code: status.code, message: status.message, unread: step.left_unread },
    );
  }

  async #drain(step: DrainStep): Promise<void> {
    const { messages, status } = await this.#stream(step.stream).takeAll();
    const parts = messages.map((bytes) => SnapshotResponse.decode(bytes));
    const digest = parts.at(-1)?.blob ?? new Uint8Array(0);
    const hash = createHash("sha256");
    for (const { blob } of parts.slice(0, -1)) hash.update(blob);
    const total = parts.reduce((sum, { blob }) => sum + blob.length, 0);
    const falls = parts.every(({ remainingBytes }, place) => {
      const after = parts.slice(place + 1, -1).reduce((sum, { blob }) => sum + blob.length, 0);
      return remainingBytes === BigInt(after);
    });
    const ours = {
      total_is_pages_plus_32: total % pageBytes === digestBytes,
      trailing_sha256_ok: hash.digest().equals(digest),
      remaining_goes_down_to_zero: falls,
      code: status.code,
    };
    const { total_is_pages_plus_32, trailing_sha256_ok, remaining_goes_down_to_zero } = step;
    const { code } = step.status;
    this.#same(step, ours, { total_is_pages_plus_32, trailing_sha256_ok, remaining_goes_down_to_zero, code });
  }

  async #await(step: AwaitStep): Promise<void> {
    const wanted = expandVariables(step.equals, this.#variables);
    const { client } = this.#server(step.on);
    const poll = async (): Promise<void> => {
      for (;;) {
        const bytes = await client.unary(step.method, this.#request(step));
        if (valueAt(decodeResponse(step.method, bytes), step.field) === wanted) return;
        await pause(50);
      }
    };
    await withPatience(poll(), () => `${step.field} does not become ${step.equals}`);
  }

  #same(step: Step, ours: unknown, recorded: unknown): void {
    if (!isDeepStrictEqual(ours, recorded)) this.#mismatches.push({ step: labelOf(step), ours, recorded });
  }

  /** What the transcript says, with the values of this run. */
  #recorded({ res, res_b64, status }: Answer): Answer {
    if (status !== undefined) return { status };
    // Only bytes are recorded where no message is named.
    return res === undefined ? { res_b64: res_b64 ?? "" } : { res: expandVariables(res, this.#variables) };
  }

  #options({ meta }: Pick<UnaryStep, "meta">): { metadata?: Readonly<Record<string, string>> } {
    return meta === undefined ? {} : { metadata: expandVariables(meta, this.#variables) as Record<string, string> };
  }

  #request(step: Pick<UnaryStep | SendStep, "method" | "req" | "req_b64" | "req_raw" | "vars">): Uint8Array {
    const exact = step.req_raw ?? (step.vars === true ? undefined : step.req_b64);
    if (exact !== undefined) return new Uint8Array(Buffer.from(exact, "base64"));
    return encodeRequest(step.method, step.req ?? {}, this.#variables);
  }

  #server(id: string): SceneServer {
    const server = this.#servers.get(id);
    if (server === undefined) throw new Error(`no server ${id}`);
    return server;
  }

  #stream(id: string): StreamInbox {
    const stream = this.#streams.get(id);
    if (stream === undefined) throw new Error(`no stream ${id}`);
    return stream;
  }
}

function valueAt(json: Json | undefined, path: string): Json | undefined {
  let value = json;
  for (const name of path.split(".")) value = (value as Record<string, Json> | undefined)?.[name];
  return value;
}

function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}

function byText(a: unknown, b: unknown): number {
  return JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
}
