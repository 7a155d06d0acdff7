/**
 * A network of one's own for each member (Linux network namespaces on a bridge, which takes root), so that what goes between
 * two of them can be cut in one direction or both, delayed and lost. Without root all members share the loop-back, and
 * nothing can be cut.
 */
import { spawnSync } from "node:child_process";

export interface Network {
  readonly canCut: boolean;
  readonly canShape: boolean;
  /** Address that the member listens on and is reached at. */
  addressOf(member: number): string;
  /** The command that runs a program in the member's place. */
  commandOf(member: number): readonly string[];
  /** Nothing goes from one member to the other any more; the way back is another cut. */
  cut(from: number, to: number): void;
  /** What leaves the member is treated so (`netem` words); undefined: not at all. */
  shape(member: number, netem: string | undefined): void;
  /** Takes back all cuts and shapes. */
  heal(): void;
  close(): void;
}

export function openNetwork(members: number): Network {
  return tryIp("link", "show") && process.getuid?.() === 0 ? (Namespaces.open(members) ?? loopback) : loopback;
}

function tryIp(...args: string[]): boolean {
  return spawnSync("ip", args, { stdio: "ignore" }).status === 0;
}

const loopback: Network = {
  canCut: false,
  canShape: false,
  addressOf: () => "127.0.0.1",
  commandOf: () => [],
  cut: () => undefined,
  shape: () => undefined,
  heal: () => undefined,
  close: () => undefined,
};

class Namespaces implements Network {
  readonly canCut = true;
  readonly canShape: boolean;
  readonly #members: number;
  /** Of this process alone: others may do the same at the same time. */
  readonly #id = process.pid % 10_000;
  readonly #subnet = `10.${100 + (process.pid % 100)}.${process.pid % 250}`;
  readonly #cuts = new Set<string>();
  readonly #shaped = new Set<number>();

  private constructor(members: number) {
    this.#members = members;
    this.#build();
    this.canShape = this.#in(0, "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay", "0ms");
    if (this.canShape) this.#in(0, "tc", "qdisc", "del", "dev", "eth0", "root");
  }

  /** Undefined when the system does not allow it. */
  static open(members: number): Namespaces | undefined {
    if (!tryIp("netns", "add", `q${process.pid % 10_000}-probe`)) return undefined;
    tryIp("netns", "del", `q${process.pid % 10_000}-probe`);
    try {
      return new Namespaces(members);
    } catch (error) {
      console.log(`no network namespaces: ${String(error)}`);
      return undefined;
    }
  }

  addressOf(member: number): string {
    return `${this.#subnet}.${member + 1}`;
  }

  commandOf(member: number): readonly string[] {
    return ["ip", "netns", "exec", this.#name(member)];
  }

  cut(from: number, to: number): void {
    const cut = `${from} ${to}`;
    if (this.#cuts.has(cut)) return;
    this.#cuts.add(cut);
    this.#in(from, "ip", "route", "replace", "blackhole", `${this.addressOf(to)}/32`);
  }

  shape(member: number, netem: string | undefined): void {
    if (netem === undefined) this.#in(member, "tc", "qdisc", "del", "dev", "eth0", "root");
    else this.#in(member, "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", ...netem.split(" "));
    if (netem === undefined) this.#shaped.delete(member);
    else this.#shaped.add(member);
  }

  heal(): void {
    for (const cut of this.#cuts) {
      const [from, to] = cut.split(" ").map(Number);
      this.#in(from, "ip", "route", "del", "blackhole", `${this.addressOf(to)}/32`);
    }
    this.#cuts.clear();
    for (const member of this.#shaped) this.shape(member, undefined);
  }

  close(): void {
    for (let member = 0; member < this.#members; member++) tryIp("netns", "del", this.#name(member));
    tryIp("link", "del", this.#bridge);
  }

  get #bridge(): string {
    return `qbr${this.#id}`;
  }

  #name(member: number): string {
    return `q${this.#id}-${member}`;
  }

  #build(): void {
    const must = (...args: string[]): void => {
      const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
      if (status === 0) return;
      this.close();
      throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
    };
    must("link", "add", this.#bridge, "type", "bridge");
    must("addr", "add", `${this.#subnet}.254/24`, "dev", this.#bridge);
    must("link", "set", this.#bridge, "up");
    for (let member = 0; member < this.#members; member++) {
      const [name, outer, inner] = [this.#name(member), `qv${this.#id}${member}`, `qw${this.#id}${member}`];
      must("netns", "add", name);
      must("link", "add", outer, "type", "veth", "peer", "name", inner);
      must("link", "set", outer, "master", this.#bridge, "up");
      must("link", "set", inner, "netns", name);
      must("-n", name, "link", "set", inner, "name", "eth0");
      must("-n", name, "addr", "add", `${this.addressOf(member)}/24`, "dev", "eth0");
      must("-n", name, "link", "set", "eth0", "up");
      must("-n", name, "link", "set", "lo", "up");
    }
  }

  #in(member: number, ...command: string[]): boolean {
    return spawnSync("ip", ["netns", "exec", this.#name(member), ...command], { stdio: "ignore" }).status === 0;
  }
}
