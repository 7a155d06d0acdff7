/**
 * A network of one's own for each member (Linux network namespaces on a bridge, which takes root), so that what goes between
 * two of them can be cut in one direction or both, delayed and lost. Without root all members share the loop-back, and
 * nothing can be cut.
 */
import { spawnSync } from "node:child_process";
import { Relays, type Shape } from "./relays.ts";

/** The members' port for each other, where they have addresses of their own. */
export const peerPort = 2380;

export interface Network {
  readonly canCut: boolean;
  readonly canShape: boolean;
  /** Address that the member listens on and clients reach it at. */
  addressOf(member: number): string;
  /** Address at which the others reach it. */
  peerAddressOf(member: number): string;
  /** The command that runs a program in the member's place. */
  commandOf(member: number): readonly string[];
  /** Nothing goes from one member to the other any more; the way back is another cut. */
  cut(from: number, to: number): void;
  /** What leaves the member is treated so; undefined: not at all. */
  shape(member: number, shape: Shape | undefined): void;
  /** Takes back all cuts and shapes. */
  heal(): void;
  close(): void;
}

export async function openNetwork(members: number): Promise<Network> {
  const isAllowed = tryIp("link", "show") && process.getuid?.() === 0;
  return (isAllowed ? await Namespaces.open(members) : undefined) ?? loopback;
}

function tryIp(...args: string[]): boolean {
  return spawnSync("ip", args, { stdio: "ignore" }).status === 0;
}

const loopback: Network = {
  canCut: false,
  canShape: false,
  addressOf: () => "127.0.0.1",
  peerAddressOf: () => "127.0.0.1",
  commandOf: () => [],
  cut: () => undefined,
  shape: () => undefined,
  heal: () => undefined,
  close: () => undefined,
};

class Namespaces implements Network {
  readonly canCut = true;
  readonly canShape = true;
  readonly #members: number;
  /** In place of `netem`. */
  readonly #relays: Relays | undefined;
  /** Of this process alone: others may do the same at the same time. */
  readonly #id = process.pid % 10_000;
  readonly #subnet = `10.${100 + (process.pid % 100)}.${process.pid % 250}`;
  readonly #cuts = new Set<string>();
  readonly #shaped = new Set<number>();

  private constructor(members: number) {
    this.#members = members;
    this.#build();
    const hasNetem = this.#in(0, "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", "delay", "0ms");
    if (hasNetem) this.#in(0, "tc", "qdisc", "del", "dev", "eth0", "root");
    else
      this.#relays = new Relays({
        ...this.#relayPlaces,
        addressOf: (member) => this.addressOf(member),
        port: peerPort,
      });
  }

  /** Undefined when the system does not allow it. */
  static async open(members: number): Promise<Namespaces | undefined> {
    if (!tryIp("netns", "add", `q${process.pid % 10_000}-probe`)) return undefined;
    tryIp("netns", "del", `q${process.pid % 10_000}-probe`);
    try {
      const namespaces = new Namespaces(members);
      await namespaces.#relays?.open(members);
      return namespaces;
    } catch (error) {
      console.log(`no network namespaces: ${String(error)}`);
      return undefined;
    }
  }

  addressOf(member: number): string {
    return `${this.#subnet}.${member + 1}`;
  }

  peerAddressOf(member: number): string {
    return this.#relays === undefined ? this.addressOf(member) : this.#relayPlaces.relayOf(member);
  }

  commandOf(member: number): readonly string[] {
    return ["ip", "netns", "exec", this.#name(member)];
  }

  cut(from: number, to: number): void {
    const cut = `${from} ${to}`;
    if (this.#cuts.has(cut)) return;
    this.#cuts.add(cut);
    for (const address of this.#addressesOf(to)) this.#in(from, "ip", "route", "replace", "blackhole", address);
  }

  shape(member: number, shape: Shape | undefined): void {
    if (shape === undefined) this.#shaped.delete(member);
    else this.#shaped.add(member);
    if (this.#relays !== undefined) return this.#relays.shape(member, shape);
    if (shape === undefined) this.#in(member, "tc", "qdisc", "del", "dev", "eth0", "root");
    else {
      const netem = ["delay", `${shape.delayMs}ms`, "loss", `${shape.lossRate * 100}%`];
      this.#in(member, "tc", "qdisc", "replace", "dev", "eth0", "root", "netem", ...netem);
    }
  }

  heal(): void {
    for (const cut of this.#cuts) {
      const [from, to] = cut.split(" ").map(Number);
      for (const address of this.#addressesOf(to)) this.#in(from, "ip", "route", "del", "blackhole", address);
    }
    this.#cuts.clear();
    for (const member of this.#shaped) this.shape(member, undefined);
  }

  close(): void {
    this.#relays?.close();
    for (let member = 0; member < this.#members; member++) tryIp("netns", "del", this.#name(member));
    tryIp("link", "del", this.#bridge);
  }

  get #relayPlaces() {
    return {
      relayOf: (member: number) => `${this.#subnet}.${101 + member}`,
      speakerOf: (member: number) => `${this.#subnet}.${201 + member}`,
    };
  }

  /** All under which others see the member. */
  #addressesOf(member: number): string[] {
    const { relayOf, speakerOf } = this.#relayPlaces;
    return [this.addressOf(member), relayOf(member), speakerOf(member)].map((address) => `${address}/32`);
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
      const { relayOf, speakerOf } = this.#relayPlaces;
      must("addr", "add", `${relayOf(member)}/24`, "dev", this.#bridge);
      must("addr", "add", `${speakerOf(member)}/24`, "dev", this.#bridge);
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
