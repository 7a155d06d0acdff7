/**
 * Copies of the data directory of a member that runs, all of one moment, as a volume snapshot makes them: members started on
 * them, and snapshots restored from their databases.
 */
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { bytes, connect, withClient } from "../support/client.ts";
import {
  patienceMs,
  program,
  removeFolder,
  runBeside,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";

const copies = 4;
const writers = 6;
const keys = 500;
const within = { timeoutMs: patienceMs };
/** Logs are cut and purged, raft snapshots made and revisions compacted while copies are made. */
const flags = ["--snapshot-count=200", "--max-wals=2", "--max-snapshots=2", "--backend-batch-interval=20ms"];
const compactEvery = 400;

let folder: string;
let server: ServerProcess;
let load: Load;

/** Puts all the time, some of them over others; compacts now and then. */
class Load {
  /** The newest revision that was acknowledged. */
  revision = 0;
  readonly #client = connect(server.endpoint);
  readonly #done: Promise<unknown>;
  #isStopped = false;
  #next = 0;

  constructor() {
    this.#done = Promise.all(Array.from({ length: writers }, () => this.#run()));
  }

  async reaches(revision: number): Promise<void> {
    const deadline = performance.now() + patienceMs;
    while (this.revision < revision) {
      if (performance.now() > deadline) throw new Error(`no further than revision ${this.revision}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
    this.#client.close();
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      const number = this.#next++;
      const pair = { key: bytes(`key/${number % keys}`), value: bytes(`${number} `.repeat(1 + (number % 300))) };
      const { header } = await this.#client.call(methods.put, pair, within);
      const revision = Number(header?.revision);
      this.revision = Math.max(this.revision, revision);
      if (revision % compactEvery === 0) {
        await this.#client.call(methods.compact, { revision: BigInt(revision - compactEvery / 2) }, within);
      }
    }
  }
}

beforeEach(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: join(folder, "data"), args: flags });
  load = new Load();
});

afterEach(async () => {
  server.signal("SIGCONT");
  await load.stop();
  await server.kill();
  removeFolder(folder);
});

function copyDirectory(name: string): string {
  const copy = join(folder, name);
  const { code, stderr } = runToEnd("cp", ["-r", "--sparse=always", join(folder, "data"), copy]);
  expect(code, stderr).toBe(0);
  return copy;
}

/** What a member serves that is started on the directory. */
async function servedBy(dataDir: string): Promise<{ revision: number; count: number }> {
  const other = await ServerProcess.start({ dataDir });
  try {
    return await withClient(other.endpoint, async (client) => {
      const range = { key: bytes("key/"), rangeEnd: bytes("key0") };
      const { header, count } = await client.call(methods.range, range, within);
      return { revision: Number(header?.revision), count: Number(count) };
    });
  } finally {
    await other.kill();
  }
}

test("a copy of one moment always starts, with all that was acknowledged; its database alone can be restored", async () => {
  for (let number = 1; number <= copies; number++) {
    await load.reaches(number * 2 * keys);
    server.signal("SIGSTOP");
    const acknowledged = load.revision;
    const copy = copyDirectory(`moment${number}`);
    server.signal("SIGCONT");
    const database = join(copy, "member", "snap", "db");
    const restored = join(folder, `restored${number}`);
    const args = ["snapshot", "restore", database, "--skip-hash-check", "--data-dir", restored];
    const { code, stderr } = await runBeside(program("etcdutl"), args);
    expect(code, stderr).toBe(0);
    for (const dataDir of [copy, restored]) {
      const served = await servedBy(dataDir);
      expect(served.count).toBe(keys);
      // The log holds what the database does not yet.
      if (dataDir === copy) expect(served.revision).toBeGreaterThanOrEqual(acknowledged);
    }
  }
});
