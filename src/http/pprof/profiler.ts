/**
 * What V8 measures of this process, as profiles that `go tool pprof` reads. The heap is sampled from the start, as in Go:
 * one allocation in so many bytes is remembered with its stack until it is collected. The CPU is sampled on request.
 */
import type { HeapProfiler, Profiler as V8Profiler, Session } from "node:inspector";
import type { Clock, Timer } from "../../platform/clock.ts";
import { ProfileEncoder, type CallFrame } from "./profile-encoder.ts";

/** Bytes between two sampled allocations: Go's `MemProfileRate`. */
const heapSampleBytes = 512 * 1024;
/** Microseconds between two looks at the stack; Go looks every ten milliseconds, V8 does it well at one. */
const cpuSampleMicros = 1000;

/** A profile is being taken already. */
export class ProfilerBusyError extends Error {
  override readonly name = "ProfilerBusyError";
}

export class Profiler {
  readonly #session: Session;
  readonly #clock: Clock;
  readonly #startedAt: number;
  #isBusy = false;

  private constructor(session: Session, clock: Clock) {
    this.#session = session;
    this.#clock = clock;
    this.#startedAt = clock.monotonic();
    session.connect();
    session.post("HeapProfiler.startSampling", { samplingInterval: heapSampleBytes });
    session.post("Profiler.enable");
    session.post("Profiler.setSamplingInterval", { interval: cpuSampleMicros });
  }

  /** Begins to sample the heap. */
  static async start(clock: Clock): Promise<Profiler> {
    // Not loaded by members that do not want it.
    const inspector = await import("node:inspector");
    return new Profiler(new inspector.Session(), clock);
  }

  /** What lives on the heap, by where it was allocated. */
  heap(): Uint8Array {
    let profile: HeapProfile | undefined;
    this.#session.post("HeapProfiler.getSamplingProfile", (error, answer) => {
      if (error !== null) throw error;
      profile = answer.profile as HeapProfiler.SamplingHeapProfile & HeapProfile;
    });
    const encoder = new ProfileEncoder({
      values: [
        { type: "samples", unit: "count" },
        { type: "inuse_space", unit: "bytes" },
      ],
      period: { type: "space", unit: "bytes", every: heapSampleBytes },
      takenAt: this.#clock.now(),
      durationMs: this.#clock.monotonic() - this.#startedAt,
    });
    if (profile !== undefined) addHeap(encoder, profile);
    return encoder.finish();
  }

  /**
   * Samples the CPU for so long, or until `signal` says that nobody waits any more.
   *
   * @throws {ProfilerBusyError} by rejection, while another one is under way.
   */
  async cpu(durationMs: number, signal: AbortSignal): Promise<Uint8Array> {
    if (this.#isBusy) throw new ProfilerBusyError("cpu profiling already in use");
    this.#isBusy = true;
    const begun = this.#clock.monotonic();
    this.#session.post("Profiler.start");
    await new Promise<void>((resolve) => {
      const timer: Timer = this.#clock.setTimer(resolve, durationMs);
      signal.addEventListener("abort", () => {
        timer.cancel();
        resolve();
      });
    });
    let profile: V8Profiler.Profile | undefined;
    this.#session.post("Profiler.stop", (error, answer) => {
      if (error !== null) throw error;
      profile = answer.profile;
    });
    this.#isBusy = false;
    const encoder = new ProfileEncoder({
      values: [
        { type: "samples", unit: "count" },
        { type: "cpu", unit: "nanoseconds" },
      ],
      period: { type: "cpu", unit: "nanoseconds", every: cpuSampleMicros * 1000 },
      takenAt: this.#clock.now(),
      durationMs: this.#clock.monotonic() - begun,
    });
    if (profile !== undefined) addCpu(encoder, profile);
    return encoder.finish();
  }

  stop(): void {
    this.#session.disconnect();
  }
}

/** The profile with what Node's types leave out. */
interface HeapProfile {
  readonly head: HeapNode;
  readonly samples: readonly { readonly nodeId: number; readonly size: number }[];
}

interface HeapNode {
  readonly id: number;
  readonly callFrame: CallFrame;
  readonly children: readonly HeapNode[];
}

function addHeap(encoder: ProfileEncoder, { head, samples }: HeapProfile): void {
  const sizes = new Map<number, { count: number; bytes: number }>();
  for (const { nodeId, size } of samples) {
    const known = sizes.get(nodeId) ?? { count: 0, bytes: 0 };
    sizes.set(nodeId, { count: known.count + 1, bytes: known.bytes + size });
  }
  const visit = (node: HeapNode, callers: readonly CallFrame[]): void => {
    const stack = node === head ? [] : [node.callFrame, ...callers];
    const own = sizes.get(node.id);
    if (own !== undefined) encoder.sample(stack.length === 0 ? [node.callFrame] : stack, [own.count, own.bytes]);
    for (const child of node.children) visit(child, stack);
  };
  visit(head, []);
}

interface CpuNode {
  readonly frame: CallFrame;
  readonly parent: number | undefined;
  count: number;
  micros: number;
}

function addCpu(encoder: ProfileEncoder, { nodes, samples = [], timeDeltas = [] }: V8Profiler.Profile): void {
  const parents = new Map<number, number>();
  for (const { id, children = [] } of nodes) for (const child of children) parents.set(child, id);
  const byId = new Map<number, CpuNode>();
  for (const { id, callFrame } of nodes) {
    byId.set(id, { frame: callFrame, parent: parents.get(id), count: 0, micros: 0 });
  }
  for (const [index, id] of samples.entries()) {
    const node = byId.get(id);
    if (node === undefined) continue;
    node.count++;
    // The time until the next sample was spent where this one was found.
    node.micros += Math.max(0, timeDeltas[index + 1] ?? cpuSampleMicros);
  }
  for (const node of byId.values()) {
    // Waiting for work costs no CPU.
    if (node.count === 0 || node.frame.functionName === "(idle)") continue;
    const stack: CallFrame[] = [];
    for (
      let at: CpuNode | undefined = node;
      at !== undefined;
      at = at.parent === undefined ? undefined : byId.get(at.parent)
    ) {
      if (at.frame.functionName !== "(root)") stack.push(at.frame);
    }
    encoder.sample(stack.length === 0 ? [node.frame] : stack, [node.count, node.micros * 1000]);
  }
}
