/** The processes under torture: start, kill, stop in time, and go on. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { peerPort, type Network } from "./network.ts";

const clientPort = 2379;

export class TorturedMember {
  readonly number: number;
  readonly endpoint: string;
  readonly #command: readonly string[];
  readonly #log: string;
  #process: ChildProcess | undefined;

  /** @param port - of the clients; the peers' is the next. Members with addresses of their own all have etcd's. */
  constructor(number: number, program: string, folder: string, places: { network: Network; ports: readonly number[] }) {
    const { network, ports } = places;
    this.number = number;
    const peerPortOf = (member: number): number => (network.canCut ? peerPort : ports[member * 2 + 1]);
    const peerUrlOf = (member: number): string => `http://${network.peerAddressOf(member)}:${peerPortOf(member)}`;
    const address = network.addressOf(number);
    this.endpoint = `http://${address}:${network.canCut ? clientPort : ports[number * 2]}`;
    const cluster = Array.from({ length: ports.length / 2 }, (_, member) => `m${member}=${peerUrlOf(member)}`);
    this.#log = join(folder, `m${number}.log`);
    this.#command = [
      ...network.commandOf(number),
      program,
      `--name=m${number}`,
      `--data-dir=${join(folder, `m${number}`)}`,
      `--listen-client-urls=${this.endpoint}`,
      `--advertise-client-urls=${this.endpoint}`,
      `--listen-peer-urls=http://${address}:${peerPortOf(number)}`,
      `--initial-advertise-peer-urls=${peerUrlOf(number)}`,
      `--initial-cluster=${cluster.join(",")}`,
      "--snapshot-count=200",
      "--experimental-snapshot-catchup-entries=50",
    ];
  }

  get isUp(): boolean {
    return this.#process !== undefined;
  }

  start(): void {
    const [program, ...args] = this.#command;
    const child = spawn(program, args, { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr.pipe(createWriteStream(this.#log, { flags: "a" }));
    child.once("exit", () => {
      if (this.#process === child) this.#process = undefined;
    });
    this.#process = child;
  }

  async kill(): Promise<void> {
    const child = this.#process;
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.#process?.kill(signal);
  }
}
