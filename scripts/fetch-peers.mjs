// Fetches the programs that tests and benchmarks put beside ours into a cache folder outside git:
//   3.5: Debian's packages etcd-server and etcd-client, unpacked, never installed (the newest suite that has 3.5);
//   3.6: built from the Go modules with the local Go toolchain;
//   haproxy: Debian's package of this system's own suite, with the libraries that are missing here, unpacked.
// Usage: node scripts/fetch-peers.mjs [--to FOLDER] [3.5] [3.6] [haproxy]     (default: all, node_modules/.cache/peers)
// Result: etcd35 etcdctl35 etcdutl35 etcd36 etcdctl36 etcdutl36, haproxy. Exit 1 when a wanted etcd cannot be had, with the
// reason; without haproxy the tests of the load balancer are skipped.
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { root } from "./setup.mjs";

const ALL = ["3.5", "3.6", "haproxy"];

const VERSION_36 = "v3.6.14";

/** Debian suites in the order to look for etcd 3.5 in; the name given by the system's own sources comes first. */
const SUITES = ["sid", "forky", "trixie"];

function capture(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: "utf8", maxBuffer: 64 << 20, ...options });
  if (result.error) throw new Error(`${command} cannot be run: ${result.error.message}`);
  if (result.status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${result.stderr.trim().slice(-2000)}`);
  return result.stdout;
}

/** Archive addresses and keys of this system's own Debian sources (both file formats of apt). */
function debianArchives() {
  const archives = new Map();
  const folder = "/etc/apt/sources.list.d";
  const files = [
    "/etc/apt/sources.list",
    ...(existsSync(folder) ? readdirSync(folder).map((n) => join(folder, n)) : []),
  ];
  for (const file of files.filter((name) => existsSync(name))) {
    const text = readFileSync(file, "utf8");
    if (file.endsWith(".list")) {
      for (const match of text.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+\/debian\/?)\s/gm))
        archives.set(match[1], undefined);
    } else if (file.endsWith(".sources")) {
      for (const stanza of text.split(/\n\s*\n/)) {
        const address = /^URIs:\s*(\S+\/debian\/?)\s*$/m.exec(stanza)?.[1];
        if (address) archives.set(address, /^Signed-By:\s*(\/\S+)/m.exec(stanza)?.[1]);
      }
    }
  }
  return archives;
}

/** Unpacks etcd 3.5 of the first Debian suite that carries it, with an apt state of its own so that the system's stays as it is. */
function fetch35(target, work) {
  const archives = debianArchives();
  if (archives.size === 0) throw new Error("this system has no Debian package source");
  const state = join(work, "apt");
  for (const name of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, name), { recursive: true });
  const reasons = [];
  for (const suite of SUITES) {
    for (const [address, key] of archives) {
      const list = join(work, `${suite}.list`);
      writeFileSync(list, `deb ${key ? `[signed-by=${key}] ` : ""}${address} ${suite} main\n`);
      const apt = [
        ["Dir::Etc::sourcelist", list],
        ["Dir::Etc::sourceparts", "/dev/null"],
        ["Dir::State::lists", join(state, "lists")],
        ["Dir::Cache", join(state, "cache")],
        ["APT::Sandbox::User", "root"],
      ].flatMap(([name, value]) => ["-o", `${name}=${value}`]);
      try {
        capture("apt-get", [...apt, "-q", "update"]);
        capture("apt-get", [...apt, "-q", "download", "etcd-server", "etcd-client"], { cwd: work });
        const packages = readdirSync(work).filter((name) => name.endsWith(".deb"));
        if (!packages.every((name) => /_3\.5\./.test(name)))
          throw new Error(`it carries ${packages.join(", ")}, not 3.5`);
        for (const name of packages) capture("dpkg-deb", ["-x", join(work, name), join(work, "root")]);
        for (const name of ["etcd", "etcdctl", "etcdutl"])
          install(join(work, "root/usr/bin", name), join(target, `${name}35`));
        return;
      } catch (error) {
        reasons.push(`${suite}: ${error.message}`);
        for (const name of readdirSync(work)) if (name.endsWith(".deb")) rmSync(join(work, name));
      }
    }
  }
  throw new Error(reasons.join("\n"));
}

/** Builds etcd 3.6 from its Go modules; a module of our own pins the version, the Go checksums do the rest. */
function build36(target, work) {
  const packages = { etcd: "server", etcdctl: "etcdctl", etcdutl: "etcdutl" };
  const module = (name) => `go.etcd.io/etcd/${packages[name]}/v3`;
  const requires = Object.keys(packages).map((name) => `\t${module(name)} ${VERSION_36}`);
  writeFileSync(join(work, "go.mod"), `module peers\n\ngo 1.24\n\nrequire (\n${requires.join("\n")}\n)\n`);
  // etcd's root module refuses to be imported; its main is one call into the server module.
  mkdirSync(join(work, "etcd"));
  writeFileSync(
    join(work, "etcd/main.go"),
    `package main\n\nimport (\n\t"os"\n\n\t"${module("etcd")}/etcdmain"\n)\n\nfunc main() { etcdmain.Main(os.Args) }\n`,
  );
  writeFileSync(
    join(work, "tools.go"),
    `//go:build tools\n\npackage peers\n\nimport (\n\t_ "${module("etcdctl")}"\n\t_ "${module("etcdutl")}"\n)\n`,
  );
  const options = { cwd: work, env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=mod" } };
  capture("go", ["mod", "tidy"], options);
  for (const name of Object.keys(packages)) {
    const output = join(target, `${name}36`);
    capture("go", ["build", "-trimpath", "-o", output, name === "etcd" ? "./etcd" : module(name)], options);
  }
}

/** Unpacks haproxy and whatever it needs that this system does not have; `haproxy` in the target starts it with them. */
function fetchHaproxy(target, work) {
  const wanted = capture("apt-get", ["-qq", "--print-uris", "install", "--no-install-recommends", "haproxy"]);
  const names =
    wanted === "" ? ["haproxy"] : Array.from(wanted.matchAll(/ ([a-z0-9.+-]+)_\S+\.deb /g), ([, name]) => name);
  capture("apt-get", ["-q", "-o", "APT::Sandbox::User=root", "download", ...names], { cwd: work });
  const folder = join(target, "haproxy-root");
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(work))
    if (name.endsWith(".deb")) capture("dpkg-deb", ["-x", join(work, name), folder]);
  const libraries = readdirSync(join(folder, "usr/lib"))
    .filter((name) => name.includes("-linux-"))
    .map((name) => `$root/usr/lib/${name}`);
  writeFileSync(
    join(target, "haproxy"),
    `#!/bin/sh\nroot="$(dirname "$0")/haproxy-root"\n` +
      `LD_LIBRARY_PATH="${libraries.join(":")}" exec "$root/usr/sbin/haproxy" "$@"\n`,
  );
  chmodSync(join(target, "haproxy"), 0o755);
}

function install(from, to) {
  copyFileSync(from, to);
  chmodSync(to, 0o755);
}

function argumentsOf(argv) {
  const at = argv.indexOf("--to");
  const target = at >= 0 ? argv[at + 1] : join(root, "node_modules/.cache/peers");
  const kinds = argv.filter((value, index) => at < 0 || (index !== at && index !== at + 1));
  const wanted = kinds.length > 0 ? kinds : ALL;
  const unknown = wanted.filter((kind) => !ALL.includes(kind));
  if (target === undefined || unknown.length > 0) {
    console.error("usage: node scripts/fetch-peers.mjs [--to FOLDER] [3.5] [3.6] [haproxy]");
    process.exit(2);
  }
  return { target, wanted };
}

const { target, wanted } = argumentsOf(process.argv.slice(2));
mkdirSync(target, { recursive: true });
let failed = 0;
for (const kind of wanted) {
  const suffix = kind.replace(".", "");
  const programs = kind === "haproxy" ? [kind] : ["etcd", "etcdctl", "etcdutl"].map((name) => name + suffix);
  const names = programs.map((name) => join(target, name));
  if (!names.every((name) => existsSync(name))) {
    const work = mkdtempSync(join(tmpdir(), "quorate-peers-"));
    try {
      if (kind === "3.5") fetch35(target, work);
      else if (kind === "3.6") build36(target, work);
      else fetchHaproxy(target, work);
    } catch (error) {
      console.error(`${kind === "haproxy" ? kind : `etcd ${kind}`} cannot be had here: ${error.message}`);
      if (kind !== "haproxy") failed++;
      continue;
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  console.log(
    `${names[0]}: ${capture(names[0], [kind === "haproxy" ? "-v" : "--version"]).split("\n")[0]} (in ${dirname(names[0])})`,
  );
}
process.exit(failed === 0 ? 0 : 1);
