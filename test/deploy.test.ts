/** The files in deploy/: they parse, fit together, and a member runs with exactly the flags of the pod, certificates included. */
import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { parseArguments } from "../src/cli/etcd/parse.ts";
import { CertificateAuthority, certificatesMissing } from "./support/certificates.ts";
import { freePorts, program, removeFolder, root, runToEnd, temporaryFolder } from "./support/process.ts";

interface Probe {
  readonly httpGet: { readonly host: string; readonly path: string; readonly port: number; readonly scheme: string };
}

interface Pod {
  readonly kind: string;
  readonly metadata: { readonly namespace: string; readonly annotations: Record<string, string> };
  readonly spec: {
    readonly hostNetwork: boolean;
    readonly priorityClassName: string;
    readonly volumes: readonly { readonly name: string; readonly hostPath: { readonly path: string } }[];
    readonly containers: readonly {
      readonly command: readonly string[];
      readonly image: string;
      readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
      readonly livenessProbe: Probe;
      readonly readinessProbe: Probe;
      readonly startupProbe: Probe;
    }[];
  };
}

function file(name: string): string {
  return readFileSync(join(root, name), "utf8");
}

const pod = parse(file("deploy/etcd.yaml")) as Pod;
const [container] = pod.spec.containers;
const probes = [container.livenessProbe, container.readinessProbe, container.startupProbe];

function flag(name: string): string {
  const found = container.command.find((word) => word.startsWith(`--${name}=`));
  return found?.slice(name.length + 3) ?? "";
}

test("the pod fits together: mounts, probes, addresses", () => {
  expect(pod).toMatchObject({ kind: "Pod", metadata: { namespace: "kube-system" } });
  expect(pod.spec).toMatchObject({ hostNetwork: true, priorityClassName: "system-node-critical" });
  const volumes = new Map(pod.spec.volumes.map(({ name, hostPath }) => [name, hostPath.path]));
  for (const { name, mountPath } of container.volumeMounts) expect(volumes.get(name)).toBe(mountPath);
  const paths = ["data-dir", "cert-file", "key-file", "trusted-ca-file", "peer-cert-file", "peer-key-file"].map(flag);
  for (const path of paths) {
    expect(
      container.volumeMounts.some(({ mountPath }) => path.startsWith(mountPath)),
      path,
    ).toBe(true);
  }
  for (const { httpGet } of probes) {
    expect(`${httpGet.scheme.toLowerCase()}://${httpGet.host}:${httpGet.port}`).toBe(flag("listen-metrics-urls"));
  }
  const advertised = pod.metadata.annotations["kubeadm.kubernetes.io/etcd.advertise-client-urls"];
  expect(advertised).toBe(flag("advertise-client-urls"));
  expect(flag("initial-cluster")).toBe(`${flag("name")}=${flag("initial-advertise-peer-urls")}`);
});

test.skipIf(certificatesMissing !== undefined)(
  "a member starts with the command of the pod and answers its probes (skipped without openssl)",
  async () => {
    const folder = temporaryFolder();
    const certificates = join(folder, "pki");
    mkdirSync(certificates);
    const authority = new CertificateAuthority(folder);
    copyFileSync(authority.cert, join(certificates, "ca.crt"));
    for (const name of ["server", "peer"]) {
      // As kubeadm makes them: for both sides, since a member is a client of the others.
      const usage = ["serverAuth", "clientAuth"];
      const pair = authority.sign(name, { usage, names: ["DNS:localhost", "IP:127.0.0.1"] });
      copyFileSync(pair.cert, join(certificates, `${name}.crt`));
      copyFileSync(pair.key, join(certificates, `${name}.key`));
    }
    const [local, client, peer, metrics] = await freePorts(4);
    const places: readonly [string, string][] = [
      ["/var/lib/etcd", join(folder, "data")],
      ["/etc/kubernetes/pki/etcd", certificates],
      ["https://127.0.0.1:2379", `https://127.0.0.1:${local}`],
      ["192.168.0.10:2379", `127.0.0.1:${client}`],
      ["192.168.0.10:2380", `127.0.0.1:${peer}`],
      ["127.0.0.1:2381", `127.0.0.1:${metrics}`],
    ];
    const placed = (word: string): string => places.reduce((text, [from, to]) => text.replaceAll(from, to), word);
    const [name, ...args] = container.command;
    expect(name).toBe("etcd");
    const child = spawn(program("etcd"), args.map(placed), { stdio: "ignore" });
    const ended = new Promise<number | null>((resolve) => child.once("exit", resolve));
    try {
      for (const { httpGet } of probes) {
        const url = `http://127.0.0.1:${metrics}${httpGet.path}`;
        const answers = async (): Promise<boolean> => (await fetch(url).catch(() => undefined))?.status === 200;
        while (child.exitCode === null && !(await answers()));
        expect(child.exitCode).toBeNull();
      }
      const tls = ["ca.crt", "server.crt", "server.key"].map((each) => join(certificates, each));
      const options = ["--cacert", "--cert", "--key"].map((each, index) => `${each}=${tls[index]}`);
      for (const port of [local, client]) {
        const health = ["endpoint", "health", `--endpoints=https://127.0.0.1:${port}`, ...options];
        expect(runToEnd(program("etcdctl"), health)).toMatchObject({ code: 0 });
      }
      child.kill("SIGTERM");
      expect(await ended).toBe(0);
    } finally {
      child.kill("SIGKILL");
      removeFolder(folder);
    }
  },
);

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).error === undefined;

test("the unit starts the program with what it reads", () => {
  const unit = file("deploy/etcd.service");
  expect(unit).toMatch(/^Type=notify\nNotifyAccess=all$/m);
  const variables = /^Environment=(.*)$/m.exec(unit)?.[1] ?? "";
  const names = [...variables.matchAll(/ETCD_(\w+)=/g)].map(([, name]) => name.toLowerCase().replaceAll("_", "-"));
  for (const name of names) parseArguments([`--${name}=x`]);
  expect(names).toEqual(["data-dir", "name"]);
});

test.skipIf(!hasSystemd)("systemd finds nothing wrong with the unit (skipped without systemd-analyze)", () => {
  const folder = temporaryFolder();
  try {
    const path = join(folder, "etcd.service");
    // The program is where this tree has it, and the user one that exists.
    const unit = file("deploy/etcd.service").replaceAll("/usr/local/bin/etcd", program("etcd"));
    writeFileSync(path, unit.replace("User=etcd", "User=root").replace("Group=etcd", "Group=root"));
    const verified = runToEnd("systemd-analyze", ["verify", "--man=no", path]);
    // It reads all units of the machine; what it says of others does not count.
    const own = (verified.stdout + verified.stderr).split("\n").filter((line) => line.includes("etcd.service"));
    expect(own).toEqual([]);
  } finally {
    removeFolder(folder);
  }
});

test("the image is built from what the build needs, and has the programs where the pod looks for them", () => {
  const dockerfile = file("deploy/Dockerfile");
  const ignore = file(".dockerignore").split("\n");
  for (const [, from, names] of dockerfile.matchAll(/^COPY (--from=\S+ )?(.*) \S+$/gm)) {
    if (from !== undefined) continue;
    for (const name of names.split(" ")) expect(ignore, name).toContain(`!${name}`);
  }
  const { bin, engines } = JSON.parse(file("package.json")) as {
    bin: Record<string, string>;
    engines: { node: string };
  };
  expect(engines.node).toBe(">=20.19");
  expect(dockerfile.match(/^FROM node:20-slim/gm)).toHaveLength(2);
  const linked = /for name in (.*); do ln -s/.exec(dockerfile)?.[1].split(" ");
  expect(linked).toEqual(Object.keys(bin));
  expect(dockerfile).toContain('CMD ["/usr/local/bin/etcd"]');
});

test("the package holds what it needs to run, and the files to deploy it", () => {
  const { stdout } = runToEnd("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    env: { HOME: process.env["HOME"] ?? "" },
  });
  const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }];
  const paths = files.map(({ path }) => path);
  for (const name of ["etcd", "etcdctl", "etcdutl", "quorate"]) {
    expect(paths).toEqual(expect.arrayContaining([`bin/${name}`, `dist/tools/${name}.cjs`]));
  }
  expect(paths).toEqual(expect.arrayContaining(["deploy/etcd.service", "deploy/etcd.yaml", "deploy/Dockerfile"]));
  expect(paths.filter((path) => path.includes(".test."))).toEqual([]);
});
