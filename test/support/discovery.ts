/** Clusters that find themselves: through a registry, or by DNS with a name server of the test's own. */
import { chmodSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { methods } from "../../src/client/methods.ts";
import { connect, put, withClient } from "./client.ts";
import { DnsServer, type Zone } from "./dns-server.ts";
import { freePorts, patienceMs, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "./process.ts";

const within = { timeoutMs: patienceMs };

/** Processes and a folder, ended together. */
export class Discovered {
  readonly folder = temporaryFolder();
  readonly members: ServerProcess[] = [];
  dns: DnsServer | undefined;
  registry: ServerProcess | undefined;

  /** Starts a registry and tells it how many members the cluster of `token` has. */
  async openRegistry(command: string | undefined, token: string, size: string): Promise<void> {
    this.registry = await ServerProcess.start({
      dataDir: join(this.folder, "registry"),
      ...(command === undefined ? {} : { command }),
    });
    await withClient(this.registry.endpoint, (client) => put(client, `/_etcd/registry/${token}/_config/size`, size));
  }

  /** Starts a member that registers; it may have to wait. */
  async register(name: string, token: string, command?: string, more: readonly string[] = []): Promise<ServerProcess> {
    const member = await ServerProcess.launch({
      dataDir: join(this.folder, name),
      args: [`--name=${name}`, ...more],
      founding: [`--discovery-token=${token}`, `--discovery-endpoints=${this.registry?.endpoint}`],
      ...(command === undefined ? {} : { command }),
    });
    this.members.push(member);
    return member;
  }

  /** The same at a v2 service: `url` names the token. */
  async registerAtV2(
    name: string,
    url: string,
    command?: string,
    more: readonly string[] = [],
  ): Promise<ServerProcess> {
    const member = await ServerProcess.launch({
      dataDir: join(this.folder, name),
      args: [`--name=${name}`, ...more],
      founding: [`--discovery=${url}`],
      ...(command === undefined ? {} : { command }),
    });
    this.members.push(member);
    return member;
  }

  /** Serves a zone at an address that a resolv.conf can name, which has no ports. */
  async openDns(zone: Zone): Promise<void> {
    const host = `127.53.${1 + Math.floor(Math.random() * 254)}.${1 + Math.floor(Math.random() * 254)}`;
    this.dns = await DnsServer.start(zone, { host, port: 53 });
    writeFileSync(join(this.folder, "resolv.conf"), `nameserver ${host}\n`);
  }

  /** The same program, with the test's name server as the one of the system. */
  withDns(command: string): string {
    const script = join(this.folder, `dns-${command.replaceAll("/", "-")}`);
    if (existsSync(script)) return script; // a file that is being executed must not be written
    const resolv = join(this.folder, "resolv.conf");
    writeFileSync(
      script,
      `#!/bin/sh\nexec unshare -m sh -c 'mount --bind ${resolv} /etc/resolv.conf && exec "$0" "$@"' ${command} "$@"\n`,
    );
    chmodSync(script, 0o755);
    return script;
  }

  /** A member that is known to DNS as `host`, by the service of `serviceName`. */
  async startBySrv(
    name: string,
    ports: { client: number; peer: number },
    { command = program("etcd"), host = `${name}.quorate.test`, serviceName = "" } = {},
  ): Promise<ServerProcess> {
    const member = await ServerProcess.launch({
      dataDir: join(this.folder, name),
      ports,
      command: this.withDns(command),
      founding: ["--discovery-srv=quorate.test"],
      args: [
        `--name=${name}`,
        `--initial-advertise-peer-urls=http://${host}:${ports.peer}`,
        ...(serviceName === "" ? [] : [`--discovery-srv-name=${serviceName}`]),
      ],
    });
    this.members.push(member);
    return member;
  }

  async close(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    await this.registry?.kill();
    await this.dns?.close();
    removeFolder(this.folder);
  }
}

/** Names of the members, as one of them tells. */
export async function namesAt(endpoint: string): Promise<string[]> {
  const client = connect(endpoint);
  try {
    const { members } = await client.call(methods.memberList, { linearizable: true }, within);
    return members.map(({ name }) => name).sort();
  } finally {
    client.close();
  }
}

/** Whether this user may give a process a resolv.conf of its own, and serve at port 53. */
export function mayServeDns(): boolean {
  return (
    process.getuid?.() === 0 && runToEnd("unshare", ["-m", "mount", "--bind", "/etc/hosts", "/etc/hosts"]).code === 0
  );
}

/** Ports for three members, and a zone that names them. */
export async function zoneOfThree(suffix = ""): Promise<{ ports: { client: number; peer: number }[]; zone: Zone }> {
  const free = await freePorts(6);
  const ports = [0, 1, 2].map((index) => ({ client: free[index], peer: free[index + 3] }));
  const host = (index: number): string => `m${index + 1}.quorate.test`;
  const records = (kind: "client" | "peer") => ports.map((each, index) => ({ target: host(index), port: each[kind] }));
  const zone = {
    addresses: Object.fromEntries(ports.map((_, index) => [host(index), ["127.0.0.1"]])),
    services: {
      [`_etcd-server${suffix}._tcp.quorate.test`]: records("peer"),
      [`_etcd-client${suffix}._tcp.quorate.test`]: records("client"),
    },
  };
  return { ports, zone };
}
