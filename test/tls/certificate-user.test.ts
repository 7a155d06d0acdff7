/**
 * A client's certificate as its user, by real processes. The same steps are taken with a Go member, where there is one,
 * and must print the same.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CertificateAuthority, certificatesMissing, type Pair } from "../support/certificates.ts";
import { patienceMs, peer, program, removeFolder, runToEnd, temporaryFolder } from "../support/process.ts";
import { clientFlags, etcdctl, fetchPage, TlsMember } from "../support/tls-member.ts";

const title = `certificates as users${certificatesMissing === undefined ? "" : ` (skipped: ${certificatesMissing})`}`;
const goEtcd = peer("etcd36");
const goEtcdctl = peer("etcdctl36");

describe.skipIf(certificatesMissing !== undefined)(title, { timeout: 2 * patienceMs }, () => {
  let folder: string;
  let authority: CertificateAuthority;
  let server: Pair;
  let root: Pair;
  let kubernetes: Pair;
  let unknown: Pair;
  let nameless: Pair;
  const running: TlsMember[] = [];

  beforeAll(() => {
    folder = temporaryFolder();
    authority = new CertificateAuthority(folder);
    server = authority.sign("server", { usage: ["serverAuth", "clientAuth"], names: ["IP:127.0.0.1"] });
    [root, kubernetes, unknown] = ["root", "k8sclient", "unknown"].map((name) => authority.sign(name));
    nameless = authority.sign("nameless", { subject: "organization" });
  });

  afterEach(async () => {
    for (const member of running.splice(0)) await member.stop();
  });

  afterAll(() => removeFolder(folder));

  /** A member with a user `k8sclient` that may write below /registry/, and authentication on. */
  async function start(command: string, flags: readonly string[] = ["--client-cert-auth"]): Promise<TlsMember> {
    const files = [`--cert-file=${server.cert}`, `--key-file=${server.key}`, `--trusted-ca-file=${authority.cert}`];
    const member = await TlsMember.start({ folder, command, flags: [...files, ...flags] });
    running.push(member);
    for (const step of [
      "user add root --new-user-password=secret",
      "user grant-role root root",
      "user add k8sclient --no-password",
      "role add registry",
      "role grant-permission registry readwrite /registry/ --prefix",
      "user grant-role k8sclient registry",
      "auth enable",
    ]) {
      const { code, stderr } = as(root, member, ...step.split(" "));
      expect(code, `${step}: ${stderr}`).toBe(0);
    }
    return member;
  }

  function as(pair: Pair, member: TlsMember, ...args: readonly string[]): ReturnType<typeof etcdctl> {
    return etcdctl([`--endpoints=${member.endpoint}`, ...clientFlags(authority, pair), ...args]);
  }

  /** What the steps print, but for log lines. */
  function steps(member: TlsMember, tool: string): string[] {
    const run = (pair: Pair, ...args: readonly string[]): string => {
      const all = ["--command-timeout=3s", `--endpoints=${member.endpoint}`, ...clientFlags(authority, pair), ...args];
      const { code, stdout, stderr } = runToEnd(tool, all);
      const errors = stderr.split("\n").filter((line) => !line.startsWith("{"));
      return `${args.join(" ")}: ${code} ${stdout}${errors.join("\n")}`;
    };
    return [
      run(kubernetes, "put", "/registry/a", "1"),
      run(kubernetes, "get", "/registry/a"),
      run(kubernetes, "put", "/other", "1"),
      run(kubernetes, "get", "", "--prefix"),
      run(kubernetes, "user", "list"),
      run(kubernetes, "user", "get", "k8sclient"),
      run(root, "put", "/other", "2"),
      run(root, "user", "list"),
      run(unknown, "get", "/registry/a"),
      run(nameless, "get", "/registry/a"),
      run(nameless, "--user=root:secret", "get", "/registry/a"),
      run(kubernetes, "--user=root:secret", "get", "/other"),
      run(kubernetes, "--user=root:wrong", "get", "/other"),
    ];
  }

  test("the common name is the user, and a user and password go before it", async () => {
    const member = await start(program("etcd"));
    expect(steps(member, program("etcdctl"))).toEqual([
      "put /registry/a 1: 0 OK\n",
      "get /registry/a: 0 /registry/a\n1\n",
      "put /other 1: 1 Error: etcdserver: permission denied\n",
      "get  --prefix: 1 Error: etcdserver: permission denied\n",
      "user list: 1 Error: etcdserver: permission denied\n",
      "user get k8sclient: 0 User: k8sclient\nRoles: registry\n",
      "put /other 2: 0 OK\n",
      "user list: 0 k8sclient\nroot\n",
      "get /registry/a: 1 Error: etcdserver: permission denied\n",
      expect.stringContaining("get /registry/a: 1 Error: etcdserver: "),
      "--user=root:secret get /registry/a: 0 /registry/a\n1\n",
      "--user=root:secret get /other: 0 /other\n2\n",
      expect.stringContaining("Error: etcdserver: authentication failed, invalid user ID or password\n"),
    ]);
  });

  test.skipIf(goEtcd === undefined || goEtcdctl === undefined)(
    "Go's member and ours print the same, to Go's etcdctl and to ours",
    async () => {
      const [ours, go] = [await start(program("etcd")), await start(goEtcd ?? "")];
      expect(steps(ours, goEtcdctl ?? "")).toEqual(steps(go, goEtcdctl ?? ""));
      expect(steps(ours, program("etcdctl"))).toEqual(steps(go, program("etcdctl")));
    },
  );

  test("without --client-cert-auth a certificate is no user, though it is asked for", async () => {
    const member = await start(program("etcd"), []);
    expect(as(kubernetes, member, "put", "/registry/a", "1").stderr).toMatch(/etcdserver: user name is empty/);
    expect(as(kubernetes, member, "--user=root:secret", "put", "/registry/a", "1").code).toBe(0);
  });

  describe.each([
    ["ours", program("etcd")],
    ["Go's", goEtcd],
  ])("the JSON gateway of %s", (_whose, command) => {
    test.skipIf(command === undefined)("knows no users by their certificates, and never takes its own", async () => {
      const member = await start(command ?? "");
      const range = { port: member.port, authority, path: "/v3/kv/range", body: '{"key":"L3JlZ2lzdHJ5L2E="}' };
      for (const pair of [root, kubernetes, unknown]) {
        for (const path of ["/v3/kv/range", "/v3beta/kv/range", "/v3/auth/status"]) {
          expect(await fetchPage({ ...range, path, pair })).toEqual({
            status: 400,
            text: "CommonName of client sending a request against gateway will be ignored and not used as expected\n",
          });
        }
        expect((await fetchPage({ ...range, path: "/version", body: undefined, pair })).status).toBe(200);
      }
      // Without the first header Go's gateway is taken for the user that its own certificate names; ours is nobody.
      for (const headers of [{ accept: "*/*" }, ...(command === goEtcd ? [] : [{}])]) {
        const { status, text } = await fetchPage({ ...range, headers, pair: nameless });
        expect(status).toBe(400);
        expect(JSON.parse(text)).toMatchObject({ message: "etcdserver: user name is empty" });
      }
      expect(as(root, member, "--user=root:secret", "auth", "disable").code).toBe(0);
      expect((await fetchPage({ ...range, pair: kubernetes })).status).toBe(200);
    });
  });
});
