/**
 * Everything of one simulated run but its clients' doings: time, network, machines, and the trace, a number that is the same
 * for the same run. What enters it: the moment of every event, every byte that arrives somewhere, every operation
 * of a drive.
 */
import { Client } from "../../src/client/client.ts";
import { updateCrc32c } from "../../src/base/crc32c.ts";
import {
  createVirtualPlatform,
  Scheduler,
  VirtualDrive,
  VirtualInternet,
  type VirtualPlatform,
} from "../../src/platform/virtual/index.ts";
import { mix } from "../checkers/hash.ts";
import { type Ending, Machine } from "./machine.ts";
import { SimLog } from "./sim-log.ts";

const dialTimeoutMs = 2_000;

export interface WorldOptions {
  readonly seed: number;
  readonly onEnd: (machine: Machine, ending: Ending) => void;
  readonly verbose?: boolean | undefined;
  /** Prints every input of the trace, to find where two runs part. */
  readonly onTrace?: ((line: string) => void) | undefined;
}

export class World {
  readonly scheduler = new Scheduler();
  readonly internet: VirtualInternet;
  readonly machines: Machine[] = [];
  readonly clientHosts: string[] = [];
  readonly #options: WorldOptions;
  readonly #moment = new Float64Array(1);
  readonly #momentBits = new Uint32Array(this.#moment.buffer);
  #traceHigh = 1;
  #traceLow = 2;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.internet = new VirtualInternet(options.seed ^ 0x5eed);
    this.internet.delayMs = 0.3;
    this.scheduler.onEvent = (atMs) => {
      this.#moment[0] = atMs;
      this.#trace(this.#momentBits[0], this.#momentBits[1]);
    };
    this.internet.onArrival = (from, to, bytes) => {
      const sum = updateCrc32c(0, bytes);
      this.#trace(bytes.length, sum);
      options.onTrace?.(`${this.nowMs} ${from}>${to} ${bytes.length} ${sum}`);
    };
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** Sixteen hexadecimal digits. */
  get traceHash(): string {
    return hex(this.#traceHigh) + hex(this.#traceLow);
  }

  /** Enters something of the run into its trace. */
  note(text: string): void {
    this.#trace(text.length, updateCrc32c(0, Buffer.from(text)));
    this.#options.onTrace?.(`${this.nowMs} ${text}`);
  }

  addMachine(name: string): Machine {
    const position = this.machines.length + 1;
    const machine = new Machine({
      name,
      host: `10.0.0.${position}`,
      scheduler: this.scheduler,
      internet: this.internet,
      seed: this.#options.seed * 64 + position,
      onEnd: this.#options.onEnd,
      verbose: this.#options.verbose,
    });
    this.machines.push(machine);
    return machine;
  }

  /** A client on a host of its own. */
  connect(endpoints: readonly string[]): { client: Client; platform: VirtualPlatform } {
    const number = this.clientHosts.length + 1;
    const host = `10.0.1.${number}`;
    this.clientHosts.push(host);
    const log = new SimLog(() => this.nowMs, "fatal");
    const platform = createVirtualPlatform({
      scheduler: this.scheduler,
      drive: new VirtualDrive({ seed: 1 }),
      internet: this.internet,
      host,
      seed: this.#options.seed * 8_192 + number,
      log,
    });
    const client = new Client({
      network: platform.network,
      clock: platform.clock,
      random: platform.random,
      log,
      endpoints,
      dialTimeoutMs,
      keepaliveTimeMs: 10_000,
      keepaliveTimeoutMs: 5_000,
      maxSendBytes: 0,
      maxReceiveBytes: 0,
    });
    return { client, platform };
  }

  /** Resolves after so much virtual time. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.scheduler.after(milliseconds, resolve));
  }

  #trace(a: number, b: number): void {
    this.#traceHigh = mix(this.#traceHigh ^ a);
    this.#traceLow = mix(Math.imul(this.#traceLow, 31) ^ b ^ this.#traceHigh);
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, "0");
}
