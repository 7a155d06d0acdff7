/** The real etcd-defrag (github.com/ahrtr/etcd-defrag) on a cluster of ours, and its rules beside those of `quorate defrag`. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { put, withClient } from "../support/client.ts";
import { TestCluster } from "../support/cluster.ts";
import { type Finished, patienceMs, peer, program, runToEnd } from "../support/process.ts";

const real = peer("etcd-defrag") ?? "";

/** Both true and false ones; some that only one of the two might take. */
const rules = [
  "dbSize > 0",
  "dbSize < 0",
  "dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024",
  "dbQuotaUsage < 0.8 && dbSizeFree < 200*1024*1024",
  "dbSizeInUse <= dbSize",
  "dbSizeFree == dbSize - dbSizeInUse",
  "dbQuota == 2*1024*1024*1024",
  "!(dbSize > 1000)",
  "dbSize / dbQuota == dbQuotaUsage",
  "dbSize > 100 && dbSizeInUse > 100 || dbQuotaUsage > 1",
  "dbQuotaUsage > 1 || dbSize > 100 && dbSizeInUse < 100",
  "dbSize * 2 > dbQuota",
  "dbSize % 4096 == 0",
  "-dbSize < 0",
  "(dbSize + 1) * 2 - 2 == dbSize * 2",
  "10 - 4 - 3 == 3",
  "7 / 2 > 3",
  "2 + 3 * 4 == 14",
  "dbSize >= 1.5",
  "true",
  "false",
  "true == (dbSize > 0)",
  "dbSize",
  "dbSize >",
  "unknown > 1",
  "dbSize > 1 &&",
  "(dbSize > 1",
];

describe.skipIf(real === "")(
  "etcd-defrag (skipped without it: build it from its repository, and name its folder in QUORATE_PEERS)",
  { timeout: 5 * patienceMs },
  () => {
    let cluster: TestCluster;
    let endpoints: string[];

    beforeAll(async () => {
      cluster = await TestCluster.found([undefined, undefined, undefined]);
      endpoints = cluster.members.map(({ endpoint }) => endpoint);
      await withClient(endpoints[0], async (client) => {
        const big = new Uint8Array(100_000);
        for (let index = 0; index < 60; index++) await put(client, `key${index % 3}`, big);
        await client.call(methods.compact, { revision: 50n, physical: true }, { timeoutMs: patienceMs });
      });
    });

    afterAll(() => cluster.close());

    function theirs(...args: string[]): Finished {
      return runToEnd(real, [`--endpoints=${endpoints[0]}`, "--cluster", "--compaction=false", ...args]);
    }

    function ours(...args: string[]): Finished {
      return runToEnd(program("quorate"), ["defrag", `--endpoints=${endpoints[0]}`, "--cluster", ...args]);
    }

    /** Endpoints that a dry run would defragment, in order; "refused" for a rule that is none. */
    function picked({ code, stdout, stderr }: Finished): string[] | "refused" {
      const text = stdout + stderr;
      if (code !== 0) {
        expect(text).toMatch(/\binvalid\b/);
        return "refused";
      }
      return [...text.matchAll(/\[Dry run\].*efragmenting endpoint:? "?([^\s"]+)/g)].map(([, endpoint]) => endpoint);
    }

    test("both pick the same members by the same rules", () => {
      for (const rule of rules) {
        const [real_, own] = [theirs, ours].map((run) => picked(run("--dry-run", `--defrag-rule=${rule}`)));
        expect([own].flat().sort(), rule).toEqual([real_].flat().sort());
        if (own.length === 3) expect(own.at(-1), rule).toBe(real_.at(-1));
      }
    });

    test("the real one defragments all of ours, the leader last, and moves it away when told", async () => {
      const before = (await (await cluster.leader()).status()).memberId;
      const sizes = await Promise.all(endpoints.map(sizeOf));
      const done = theirs("--move-leader", "--defrag-rule=dbSizeFree > 0", "--auto-disalarm");
      expect(done.code, done.stderr).toBe(0);
      expect(done.stderr).toContain("The defragmentation is successful.");
      expect(done.stderr.match(/Finished defragmenting etcd endpoint/g)).toHaveLength(3);
      const after = await Promise.all(endpoints.map(sizeOf));
      for (const [index, size] of after.entries()) expect(size).toBeLessThan(sizes[index]);
      expect((await (await cluster.leader()).status()).memberId).not.toBe(before);
    });

    test("so does ours", async () => {
      const before = (await (await cluster.leader()).status()).memberId;
      const done = ours("--move-leader", "--wait-between-defrags=10ms");
      expect(done.code, done.stderr).toBe(0);
      const order = [...done.stdout.matchAll(/^Defragmenting endpoint: (.*)$/gm)].map(([, endpoint]) => endpoint);
      const ids = await Promise.all(cluster.members.map(async (member) => (await member.status()).memberId));
      expect(order).toHaveLength(3);
      expect(order.at(-1)).toBe(endpoints[ids.indexOf(before)]);
      expect((await (await cluster.leader()).status()).memberId).not.toBe(before);
      expect(ours("--exclude-localhost").stdout).toContain("0 endpoint(s) need to be defragmented: []");
    });

    async function sizeOf(endpoint: string): Promise<number> {
      const { dbSize } = await withClient(endpoint, (client) =>
        client.call(methods.status, {}, { timeoutMs: patienceMs }),
      );
      return Number(dbSize);
    }
  },
);
