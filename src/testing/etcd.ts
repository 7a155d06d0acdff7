/**
 * An etcd in the test's own process: a whole member, on a real port, with its data in memory (or in a directory).
 *
 *     await using etcd = await startEtcd();
 *     await etcd.client.put("greeting", "hello");
 *     const other = new Etcd3({ hosts: etcd.endpoint });   // any client will do
 */
import { parseArguments } from "../cli/etcd/parse.ts";
import { type RunningMember, runMember } from "../cli/etcd/run-member.ts";
import { resolveSettings, type Settings } from "../cli/etcd/settings.ts";
import { createNodePlatform, createStderrLogger } from "../platform/node/index.ts";
import type { LogLevel } from "../platform/logger.ts";
import type { Platform } from "../platform/platform.ts";
import { VirtualDrive } from "../platform/virtual/index.ts";
import { KeptPorts } from "./kept-ports.ts";
import { memoryDisk } from "./memory-disk.ts";
import { StoppableClock } from "./stoppable-clock.ts";
import { TestClient } from "./test-client.ts";

/** Where a member in memory thinks its files are. */
const memoryDataDir = "/etcd";

export interface EtcdOptions {
  /** Keep the data in this directory, durably, in etcd's format. In memory when left out. */
  readonly dataDir?: string;
  /** Flags of the server beyond: `["--quota-backend-bytes=1048576", "--auth-token=jwt,..."]`. */
  readonly flags?: readonly string[];
  /** What the member logs on standard error; nothing when left out. */
  readonly logLevel?: LogLevel;
}

/** A running member, or one that was crashed and waits for {@link TestEtcd.restart}. */
export class TestEtcd implements AsyncDisposable {
  /** `http://127.0.0.1:<port>`: gRPC, the JSON gateway and the health pages. The same after a restart. */
  readonly endpoint: string;
  /** A client that is connected to it; closed with it. */
  readonly client: TestClient;
  readonly #settings: Settings;
  readonly #platform: Platform;
  readonly #ports: KeptPorts;
  readonly #drive: VirtualDrive | undefined;
  #clock: StoppableClock | undefined;
  #running: RunningMember | undefined;
  #failure: Error | undefined;

  private constructor(settings: Settings, platform: Platform, ports: KeptPorts, drive: VirtualDrive | undefined) {
    this.#settings = settings;
    this.#platform = platform;
    this.#ports = ports;
    this.#drive = drive;
    [this.endpoint] = settings.values["listen-client-urls"];
    this.client = new TestClient({ endpoints: [this.endpoint], platform });
  }

  /** Resolves when it serves. @see startEtcd */
  static async start(options: EtcdOptions): Promise<TestEtcd> {
    const log = createStderrLogger(options.logLevel ?? "fatal", options.logLevel === undefined ? () => {} : undefined);
    const platform = createNodePlatform({ log });
    const ports = new KeptPorts(platform.network);
    try {
      const client = `http://127.0.0.1:${await ports.keep()}`;
      const peer = `http://127.0.0.1:${await ports.keep()}`;
      const settings = resolveSettings(
        parseArguments([
          "--name=test",
          `--data-dir=${options.dataDir ?? memoryDataDir}`,
          `--listen-client-urls=${client}`,
          `--advertise-client-urls=${client}`,
          `--listen-peer-urls=${peer}`,
          `--initial-advertise-peer-urls=${peer}`,
          `--initial-cluster=test=${peer}`,
          ...(options.flags ?? []),
        ]),
        { environment: {}, log, readFile: () => "" },
      );
      const drive = options.dataDir === undefined ? new VirtualDrive({ seed: platform.random.uint32() }) : undefined;
      const etcd = new TestEtcd(settings, platform, ports, drive);
      await etcd.restart();
      return etcd;
    } catch (error) {
      await ports.release();
      throw error;
    }
  }

  /** True while it serves. */
  get isRunning(): boolean {
    return this.#running !== undefined && this.#failure === undefined;
  }

  /** Starts it again on what its disk holds. @throws {Error} when it runs. */
  async restart(): Promise<void> {
    if (this.#running !== undefined) throw new Error("Cannot restart an etcd that runs: stop() or crash() it first");
    const clock = new StoppableClock(this.#platform.clock);
    const disk = this.#drive === undefined ? this.#platform.disk : memoryDisk(this.#drive, clock);
    this.#clock = clock;
    this.#failure = undefined;
    this.#running = await runMember({
      settings: this.#settings,
      platform: { ...this.#platform, clock, disk, network: this.#ports },
      onFatal: (error) => (this.#failure ??= error),
      onRemoved: () => (this.#failure ??= new Error("the member was removed from its cluster")),
    });
  }

  /** Stops it in order; its data stays for a {@link restart}. Idempotent. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.stop();
  }

  /**
   * The power fails: connections break, and what was not synced to the disk is lost or torn. Everything acknowledged is
   * there after a {@link restart}.
   *
   * @throws {Error} when the data is in a directory: no process can lose another's disk cache.
   */
  crash(): void {
    if (this.#drive === undefined) throw new Error("Cannot crash an etcd on a real disk: leave dataDir out");
    this.#drive.crash();
    this.#clock?.stop();
    this.#running?.abandon();
    this.#running = undefined;
  }

  /** Stops it and gives the port back. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.stop();
    await this.#ports.release();
  }
}

/**
 * Starts an etcd in this process on a free port and resolves when it serves, in some tens of milliseconds.
 *
 * @throws {Error} with etcd's text for flags that are wrong or a directory that cannot be used; nothing runs then.
 */
export function startEtcd(options: EtcdOptions = {}): Promise<TestEtcd> {
  return TestEtcd.start(options);
}
