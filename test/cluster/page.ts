/**
 * A cluster as the Kubernetes page describes it: each member has an address of its own, gets its settings by ETCD_
 * variables, and is operated with etcdctl. Addresses are 127.0.0.1, 127.0.0.2, ...: this machine's, whatever its network.
 */
import { join } from "node:path";
import { expect } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { withClient } from "../support/client.ts";
import { eventually } from "../support/cluster.ts";
import {
  type Finished,
  freePorts,
  patienceMs,
  program,
  removeFolder,
  runBeside,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";

const within = { timeoutMs: patienceMs };

export class PageMember {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  readonly dataDir: string;
  process: ServerProcess | undefined;

  constructor(name: string, clientUrl: string, peerUrl: string, dataDir: string) {
    this.name = name;
    this.clientUrl = clientUrl;
    this.peerUrl = peerUrl;
    this.dataDir = dataDir;
  }

  get endpoint(): string {
    return this.clientUrl;
  }

  async kill(): Promise<void> {
    await this.process?.kill();
    this.process = undefined;
  }
}

export class PageCluster {
  readonly members: PageMember[] = [];
  readonly folder = temporaryFolder();
  readonly #clientPort: number;
  readonly #peerPort: number;
  #count = 0;

  private constructor(clientPort: number, peerPort: number) {
    this.#clientPort = clientPort;
    this.#peerPort = peerPort;
  }

  /** Nobody runs yet. */
  static async prepare(count: number): Promise<PageCluster> {
    const [client, peer] = await freePorts(2);
    const cluster = new PageCluster(client, peer);
    for (let number = 1; number <= count; number++) cluster.newMember();
    return cluster;
  }

  static async found(count: number): Promise<PageCluster> {
    const cluster = await PageCluster.prepare(count);
    const initialCluster = cluster.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(",");
    const env = { ETCD_INITIAL_CLUSTER: initialCluster, ETCD_INITIAL_CLUSTER_STATE: "new" };
    await cluster.startAll(env);
    return cluster;
  }

  /** The next address, and `member<N>`; not started, and the cluster is not told. */
  newMember(): PageMember {
    const number = ++this.#count;
    const url = (port: number): string => `http://127.0.0.${number}:${port}`;
    const name = `member${number}`;
    const member = new PageMember(name, url(this.#clientPort), url(this.#peerPort), join(this.folder, name));
    this.members.push(member);
    return member;
  }

  async startAll(env: Record<string, string>): Promise<void> {
    await Promise.all(this.members.map((member) => this.start(member, { ETCD_NAME: member.name, ...env })));
  }

  /** `etcd` with its addresses, and what the page says to export. Waits until it serves. */
  async start(member: PageMember, env: Record<string, string>): Promise<void> {
    const { hostname, port } = new URL(member.clientUrl);
    member.process = ServerProcess.spawn({
      command: program("etcd"),
      flags: [],
      env: {
        ETCD_DATA_DIR: member.dataDir,
        ETCD_LISTEN_CLIENT_URLS: member.clientUrl,
        ETCD_ADVERTISE_CLIENT_URLS: member.clientUrl,
        ETCD_LISTEN_PEER_URLS: member.peerUrl,
        ETCD_INITIAL_ADVERTISE_PEER_URLS: member.peerUrl,
        ...env,
      },
      port: Number(port),
      host: hostname,
      peerUrl: member.peerUrl,
    });
    if (!(await member.process.becomesReady())) {
      throw new Error(`${member.name} did not become ready:\n${member.process.lines.join("\n")}`);
    }
  }

  get running(): readonly PageMember[] {
    return this.members.filter((member) => member.process !== undefined);
  }

  /** `etcdctl`; without `--endpoints` it finds the running members in ETCDCTL_ENDPOINTS. @throws when it fails. */
  async etcdctl(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tryEtcdctl(...args);
    if (code !== 0) throw new Error(`etcdctl ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  tryEtcdctl(...args: string[]): Promise<Finished> {
    const env: Record<string, string> = { ETCDCTL_API: "3" };
    // Both at once are refused, as etcd's own does.
    if (!args.some((arg) => arg.startsWith("--endpoints"))) {
      env["ETCDCTL_ENDPOINTS"] = this.running.map(({ clientUrl }) => clientUrl).join(",");
    }
    return runBeside(program("etcdctl"), args, env);
  }

  /** Every running member holds the same. */
  async expectEqual(): Promise<void> {
    await eventually("all members have equal data", async () => {
      const revision = await this.#appliedRevision();
      const hashes = await Promise.all(
        this.running.map(({ endpoint }) =>
          withClient(endpoint, (client) => client.call(methods.hashKv, { revision }, within)),
        ),
      );
      for (const { hash, compactRevision } of hashes) {
        expect([hash, compactRevision]).toEqual([hashes[0].hash, hashes[0].compactRevision]);
      }
    });
  }

  /** The newest revision that all have: a linearizable read is answered by a member that has applied what was before. */
  async #appliedRevision(): Promise<bigint> {
    const revisions = await Promise.all(
      this.running.map(({ endpoint }) =>
        withClient(endpoint, async (client) => {
          const { header } = await client.call(methods.range, { key: Uint8Array.of(1) }, within);
          return header?.revision ?? 0n;
        }),
      ),
    );
    return revisions.reduce((lowest, revision) => (revision < lowest ? revision : lowest));
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    removeFolder(this.folder);
  }
}

/** The lines `ETCD_...="..."` that `etcdctl member add` prints, as variables. */
export function printedEnvironment(output: string): Record<string, string> {
  return Object.fromEntries(Array.from(output.matchAll(/^(ETCD_\w+)="(.*)"$/gm), ([, name, value]) => [name, value]));
}
