/** A server of a scene: ours as a real process, and one connection to it. */
import { join } from "node:path";
import { GrpcClient } from "../../src/grpc/client.ts";
import type { Platform } from "../../src/platform/platform.ts";
import { StatusResponse } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { pause, withPatience } from "./patience.ts";
import { ServerProcess, type ServerOptions } from "../support/process.ts";
import type { ServerPlan } from "./transcript.ts";

/** Flags of 3.5 that 3.6 names otherwise. */
const renamedFlags: Readonly<Record<string, string>> = {
  "--experimental-watch-progress-notify-interval": "--watch-progress-notify-interval",
};

/** Another program to play the scenes against, such as a real etcd 3.6: what the table of differences says must hold there too. */
const command = process.env["QUORATE_TEST_ETCD"];

/** What a new member's storage version becomes. */
const storageVersion = "3.6.0";

export class SceneServer {
  readonly plan: ServerPlan;
  readonly #options: ServerOptions;
  readonly #platform: Platform;
  #process: ServerProcess | undefined;
  #client: GrpcClient | undefined;

  constructor(plan: ServerPlan, folder: string, platform: Platform) {
    this.plan = plan;
    const isMember = plan.cluster !== undefined || plan.state !== undefined;
    this.#platform = platform;
    this.#options = {
      ...(command === undefined ? {} : { command }),
      dataDir: join(folder, plan.id),
      ...(isMember ? { ports: { client: portOf(plan.client), peer: portOf(plan.peer) } } : {}),
      args: [
        `--name=${plan.name}`,
        // Ids derive from the advertised peer URL, where nobody calls: the cluster has one member.
        `--initial-advertise-peer-urls=${plan.peer}`,
        `--initial-cluster=${plan.cluster ?? `${plan.name}=${plan.peer}`}`,
        ...(plan.state === undefined ? [] : [`--initial-cluster-state=${plan.state}`]),
        `--initial-cluster-token=${plan.token}`,
        `--advertise-client-urls=${plan.client}`,
        ...(plan.flags ?? []).map((flag) => renamedFlags[flag] ?? flag.replace("${WORK}", folder)),
      ],
    };
  }

  get endpoint(): string {
    return this.#running.endpoint;
  }

  get client(): GrpcClient {
    if (this.#client === undefined) throw new Error(`${this.plan.id} is not connected`);
    return this.#client;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** @param cluster - `--initial-cluster`, when it is not that of the plan. */
  async start(cluster?: string): Promise<void> {
    const { args = [] } = this.#options;
    const more = cluster === undefined ? [] : [`--initial-cluster=${cluster}`];
    this.#process = await ServerProcess.start({ ...this.#options, args: [...args, ...more] });
    const { port } = this.#process;
    const connection = await this.#platform.network.connect({ host: "127.0.0.1", port });
    this.#client = new GrpcClient(connection, { clock: this.#platform.clock, authority: `127.0.0.1:${port}` });
    if (this.plan.state === undefined) {
      await withPatience(this.#settled(), () => "the cluster version is not decided");
    }
  }

  async restart(): Promise<void> {
    this.#client?.close();
    await this.#running.stop();
    await this.start();
  }

  async stop(): Promise<void> {
    this.#client?.close();
    await this.#process?.stop();
    this.#process = undefined;
  }

  /** What this member says about itself. */
  async status(): Promise<StatusResponse> {
    return StatusResponse.decode(await this.client.unary("/etcdserverpb.Maintenance/Status", new Uint8Array(0)));
  }

  async close(): Promise<void> {
    this.#client?.close();
    await this.#process?.kill();
    this.#process = undefined;
  }

  /** Cluster and storage version are decided a moment after the member is ready; the scenes show them decided. */
  async #settled(): Promise<void> {
    for (;;) {
      if ((await this.status()).storageVersion === storageVersion) return;
      await pause(10);
    }
  }

  get #running(): ServerProcess {
    if (this.#process === undefined) throw new Error(`${this.plan.id} does not run`);
    return this.#process;
  }
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}
