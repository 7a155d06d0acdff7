/** Go's etcd and etcdctl on the other side of TLS: mixed clusters, each side leading, members that join. */
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { freePorts, patienceMs, peer, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";
import { clientFlags, memberFiles, TlsMember } from "../support/tls-member.ts";

const missing = certificatesMissing ?? (peer("etcd36") === undefined ? "Go's etcd is not there" : undefined);
const ours = program("etcd");

interface Status {
  readonly Endpoint: string;
  readonly Status: { readonly header: { readonly member_id: bigint | number }; readonly leader: bigint | number };
}

describe.skipIf(missing !== undefined)(
  `mixed clusters under TLS${missing === undefined ? "" : ` (${missing})`}`,
  () => {
    let folder: string;
    let authority: CertificateAuthority;
    let server: Pair;
    let identity: readonly string[];
    const running: TlsMember[] = [];

    beforeAll(() => {
      folder = temporaryFolder();
      authority = new CertificateAuthority(folder);
      const names = ["DNS:localhost", "IP:127.0.0.1"];
      server = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names });
      identity = clientFlags(authority, authority.sign("k8sclient"));
    });

    afterEach(async () => {
      for (const member of running.splice(0)) await member.stop();
    });

    afterAll(() => removeFolder(folder));

    const flags = (): string[] => [...memberFiles(server, authority), "--peer-cert-allowed-cn=server"];

    function etcdctl(tool: string, endpoints: readonly TlsMember[], ...args: readonly string[]): string {
      const at = `--endpoints=${endpoints.map(({ endpoint }) => endpoint).join(",")}`;
      const all = [at, ...identity, "--dial-timeout=10s", "--command-timeout=20s", ...args];
      const { code, stdout, stderr } = runToEnd(tool, all);
      expect(code, `${tool} ${all.join(" ")}\n${stderr}`).toBe(0);
      return stdout;
    }

    async function startCluster(commands: readonly string[]): Promise<void> {
      const ports = await freePorts(2 * commands.length);
      const peerUrl = (index: number): string => `https://127.0.0.1:${ports[2 * index + 1]}`;
      const initialCluster = commands.map((_command, index) => `m${index}=${peerUrl(index)}`).join(",");
      for (const [index, command] of commands.entries()) {
        const own: [number, number] = [ports[2 * index], ports[2 * index + 1]];
        const options = { folder, command, name: `m${index}`, ports: own, initialCluster, flags: flags() };
        running.push(await TlsMember.launch({ ...options, peerScheme: "https" }));
      }
      for (const member of running) await member.ready();
    }

    /** Ids that are too long for a number come as text. */
    function statuses(members: readonly TlsMember[]): { id: string; leader: string }[] {
      const json = etcdctl(program("etcdctl"), members, "endpoint", "status", "-w", "json");
      const exact = json.replace(/:(\d{16,})/g, ':"$1"');
      return (JSON.parse(exact) as Status[]).map(({ Status }) => ({
        id: BigInt(Status.header.member_id).toString(16),
        leader: BigInt(Status.leader).toString(16),
      }));
    }

    async function lead(index: number): Promise<void> {
      const { id, leader } = statuses(running)[index];
      if (id !== leader) etcdctl(program("etcdctl"), running, "move-leader", id);
      const deadline = performance.now() + patienceMs;
      while (statuses(running).some((status) => status.leader !== id)) {
        if (performance.now() > deadline) throw new Error(`${id} does not lead`);
      }
    }

    describe.each([
      ["3.6", "etcd36", "etcdctl36"],
      ["3.5", "etcd35", "etcdctl35"],
    ])("with Go's %s", (_version, etcd, tool) => {
      const [go, goTool] = [peer(etcd) ?? "", peer(tool) ?? ""];

      test.skipIf(go === "")("one Go member and two of ours: writes are everywhere, whoever leads", async () => {
        await startCluster([go, ours, ours]);
        for (const leader of [0, 1]) {
          await lead(leader);
          for (const [at, member] of running.entries()) {
            for (const [by, client] of [program("etcdctl"), goTool].entries()) {
              const key = `k-${leader}-${at}-${by}`;
              expect(etcdctl(client, [member], "put", key, "v")).toBe("OK\n");
              for (const reader of running) expect(etcdctl(client, [reader], "get", key)).toBe(`${key}\nv\n`);
            }
          }
        }
      });

      // A 3.5 cannot join a cluster whose version is 3.6 already: that is etcd's own rule.
      const goJoins = etcd === "etcd36" ? [["a Go member joins two of ours", [ours, ours], go] as const] : [];

      test.skipIf(go === "").each([...goJoins, ["one of ours joins two Go members", [go, go], ours] as const])(
        "%s, and gets what was there",
        async (_title, commands, joining) => {
          await startCluster(commands);
          expect(etcdctl(program("etcdctl"), running, "put", "before", "v")).toBe("OK\n");
          // Held until the member is launched: while it is taken in, many connections come and go that could take it.
          const held = createServer().listen(0, "127.0.0.1");
          await once(held, "listening");
          const { port: peerPort } = held.address() as AddressInfo;
          const peerUrl = `https://127.0.0.1:${peerPort}`;
          // A member is taken in when the others have been connected for five seconds.
          const adding = [...identity, "member", "add", "m2", `--peer-urls=${peerUrl}`];
          const deadline = performance.now() + patienceMs;
          while (runToEnd(program("etcdctl"), [`--endpoints=${running[0].endpoint}`, ...adding]).code !== 0) {
            expect(performance.now()).toBeLessThan(deadline);
          }
          const urls = running.map((member, index) => `m${index}=https://127.0.0.1:${member.peerPort}`);
          const [clientPort] = await freePorts(1);
          await new Promise((resolve) => held.close(resolve));
          const joined = await TlsMember.launch({
            folder,
            command: joining,
            name: "m2",
            ports: [clientPort, peerPort],
            peerScheme: "https",
            initialCluster: [...urls, `m2=${peerUrl}`].join(","),
            flags: [...flags(), "--initial-cluster-state=existing"],
          });
          running.push(joined);
          await joined.ready();
          for (const client of [program("etcdctl"), goTool]) {
            expect(etcdctl(client, [joined], "get", "before")).toBe("before\nv\n");
            expect(etcdctl(client, [joined], "put", "after", "v")).toBe("OK\n");
            for (const member of running) expect(etcdctl(client, [member], "get", "after")).toBe("after\nv\n");
          }
        },
      );
    });
  },
);
