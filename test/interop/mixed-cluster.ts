/** Clusters of Go's members and ours: every member looks for differences all the time, and each step ends in equal data. */
import { expect } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { type ClusterMember, eventually, TestCluster } from "../support/cluster.ts";
import { Writer } from "../support/writer.ts";
import { goEtcd, type Release, theGoEtcd } from "./go-etcd.ts";

/** Whose program a member runs. */
export type Kind = "ours" | Release;

export const commandOf = (kind: Kind): string | undefined => (kind === "ours" ? undefined : theGoEtcd(kind).etcd);

/** The mixes of three that have members of both kinds. */
export const mixes = (release: Release): readonly (readonly Kind[])[] => [
  ["ours", release, release],
  ["ours", "ours", release],
];

const checkSeconds = 2;

const checks36 = [
  "--feature-gates=InitialCorruptCheck=true,CompactHashCheck=true",
  `--corrupt-check-time=${checkSeconds}s`,
  `--compact-hash-check-time=${checkSeconds}s`,
];

const checks35 = [
  "--experimental-initial-corrupt-check=true",
  `--experimental-corrupt-check-time=${checkSeconds}s`,
  "--experimental-compact-hash-check-enabled=true",
  `--experimental-compact-hash-check-time=${checkSeconds}s`,
];

/** What a member says, at warn or above, when it finds data that differ. */
const complaint =
  /"level":"(warn|error|fatal|panic)".*"msg":"[^"]*(hash mismatch|orrupt|different (hash|compact revision) values|hashes must match)/;

export interface MixedOptions {
  /** For all members; the same in 3.5 and 3.6. */
  readonly flags?: readonly string[];
  readonly catchUpEntries?: number;
}

export class MixedCluster {
  readonly cluster: TestCluster;
  #writer: Writer | undefined;

  private constructor(cluster: TestCluster) {
    this.cluster = cluster;
  }

  static async found(kinds: readonly Kind[], { flags = [], catchUpEntries }: MixedOptions = {}): Promise<MixedCluster> {
    const of = (command: string): string[] => {
      const is35 = command === goEtcd("3.5")?.etcd;
      const all = [...(is35 ? checks35 : checks36), ...flags];
      if (catchUpEntries !== undefined)
        all.push(`--${is35 ? "experimental-" : ""}snapshot-catchup-entries=${catchUpEntries}`);
      return all;
    };
    return new MixedCluster(await TestCluster.found(kinds.map(commandOf), of));
  }

  get members(): readonly ClusterMember[] {
    return this.cluster.members;
  }

  /** From now on until {@link finish}. */
  startWriting(): void {
    this.#writer = new Writer(() => this.cluster.members);
  }

  /** A step that leaves the members with equal data, serving. */
  async step(what: string, action: () => Promise<unknown>): Promise<void> {
    await this.cluster.step(what, async () => {
      await action();
      await eventually("all members have equal data", () => this.expectEqual());
      await this.#writer?.goesOn();
    });
  }

  /** The member goes on, on its data, as the other program. */
  replace(member: ClusterMember, kind: Kind): Promise<void> {
    return this.step(`${member.name} becomes ${kind}`, async () => {
      await member.stop();
      await this.cluster.start(member, commandOf(kind));
    });
  }

  async expectEqual(): Promise<void> {
    const [first, ...others] = await this.cluster.hashes();
    for (const other of others) expect(other).toEqual(first);
  }

  /** Ends the load: nothing acknowledged was lost, and nobody found that data differ. */
  async finish(): Promise<void> {
    await this.cluster.step("what was acknowledged is there", async () => {
      await this.#writer?.stop();
      for (const member of this.members) await this.#writer?.expectAllThere(member);
      await this.expectEqual();
    });
    await this.cluster.step("no member complains of data that differ", async () => {
      for (const { endpoint, lines } of this.members) {
        const { alarms } = await withClient(endpoint, (client) => client.call(methods.alarm, {}));
        expect(alarms).toEqual([]);
        expect(lines.filter((line) => complaint.test(line))).toEqual([]);
      }
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.#writer?.stop(), this.cluster.close()]);
  }
}

/** What `/version` says of a member: its own version, the cluster's, and that of the storage. */
export async function versionsOf({ endpoint }: ClusterMember): Promise<{ server: string; cluster: string }> {
  const answer = (await (await fetch(`${endpoint}/version`)).json()) as { etcdserver: string; etcdcluster: string };
  return { server: answer.etcdserver, cluster: answer.etcdcluster };
}
