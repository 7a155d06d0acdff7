/** What our etcdutl restores, Go's members and ours serve alike, alone and in one cluster. */
import { gunzipSync } from "node:zlib";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fixtureText } from "../support/fixture.ts";
import {
  freePorts,
  program,
  removeFolder,
  root,
  runToEnd,
  ServerProcess,
  temporaryFolder,
} from "../support/process.ts";
import { readContents } from "./contents.ts";
import { goEtcd, releases, theGoEtcd, titleFor } from "./go-etcd.ts";

interface Shown {
  readonly revision: number;
  readonly hashkv: readonly { readonly revision: number; readonly hash?: number }[];
}

let folder: string;
let servers: ServerProcess[];

beforeEach(() => {
  folder = temporaryFolder();
  servers = [];
});

afterEach(async () => {
  await Promise.all(servers.map((server) => server.kill()));
  removeFolder(folder);
});

function unpack(name: string): string {
  const file = join(folder, "snapshot.db");
  writeFileSync(file, gunzipSync(readFileSync(join(root, "test/fixtures/snapshots", name, "snapshot.db.gz"))));
  return file;
}

/** What a member showed that Go restored in the same way. */
function shownBy(name: string, variant: string): Shown {
  const { restores } = JSON.parse(fixtureText(`snapshots/${name}/expected.json`)) as {
    restores: { variant: string; members: { shows: Shown }[] }[];
  };
  return restores.find((restore) => restore.variant === variant)!.members[0].shows;
}

function restore(...args: string[]): void {
  const { code, stderr } = runToEnd(program("etcdutl"), ["snapshot", "restore", ...args]);
  expect(code, stderr).toBe(0);
}

async function expectShown(endpoint: string, shown: Shown): Promise<void> {
  const recorded = shown.hashkv.filter(({ revision, hash }) => revision > 0 && hash !== undefined);
  const { revision, hashes } = await readContents(
    endpoint,
    recorded.map((each) => each.revision),
  );
  expect(revision).toBe(shown.revision);
  expect(hashes).toEqual(Object.fromEntries(recorded.map((each) => [each.revision, each.hash])));
}

describe.each(releases)("%s", (release) => {
  describe.skipIf(goEtcd(release) === undefined)(titleFor(release, "a restored member"), () => {
    test.each([
      ["plain", "named", []],
      ["with-leases", "named", []],
      ["after-kill", "bump-7", ["--bump-revision=7", "--mark-compacted"]],
      ["compacted-defragmented", "bump-1000", ["--bump-revision=1000", "--mark-compacted"]],
    ] as const)("%s, %s, serves under Go etcd and then under ours", async (name, variant, flags) => {
      const dataDir = join(folder, "data");
      restore(unpack(name), `--data-dir=${dataDir}`, ...flags);
      for (const command of [theGoEtcd(release).etcd, program("etcd")]) {
        const server = await ServerProcess.start({ command, dataDir });
        servers.push(server);
        await expectShown(server.endpoint, shownBy(name, variant));
        await server.stop();
      }
    });

    test("three restored members found one cluster of Go's and ours", async () => {
      const file = unpack("with-members");
      const ports = await freePorts(6);
      const peers = [1, 2, 3].map((number) => `m${number}=http://127.0.0.1:${ports[number + 2]}`);
      const { etcd } = theGoEtcd(release);
      for (const [index, command] of [etcd, program("etcd"), etcd].entries()) {
        const dataDir = join(folder, `m${index + 1}`);
        const [name, url] = peers[index].split("=");
        restore(
          file,
          `--data-dir=${dataDir}`,
          `--name=${name}`,
          `--initial-cluster=${peers.join()}`,
          `--initial-advertise-peer-urls=${url}`,
        );
        const member = { client: ports[index], peer: ports[index + 3] };
        servers.push(await ServerProcess.launch({ command, dataDir, args: [`--name=${name}`], ports: member }));
      }
      for (const server of servers) expect(await server.becomesReady(), server.lines.join("\n")).toBe(true);
      for (const { endpoint } of servers) await expectShown(endpoint, shownBy("with-members", "three"));
    });
  });
});
