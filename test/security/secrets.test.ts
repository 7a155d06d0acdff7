/**
 * Passwords, their hashes, tokens, keys and stored values do not leave a member by its log, its pages, its errors or, in
 * the clear, its disk. Everything is done that makes a member talk: debug level, and thresholds at which every request is slow.
 */
import { generateKeyPairSync } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { Compare_CompareTarget, TxnRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { bytes, put, withClient } from "../support/client.ts";
import { program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";

const passwords = { root: "r00t-correct-horse", user: "us3r-battery-staple", changed: "ch4nged-passphrase" };
const wrongPassword = "wr0ng-guess-of-mine";
const storedValue = "st0red-value-for-nobody";
const options = { timeoutMs: 60_000 };

let folder: string;
let server: ServerProcess;

beforeEach(() => {
  folder = temporaryFolder();
});

afterEach(async () => {
  await server.stop();
  removeFolder(folder);
});

function filesBelow(path: string): string[] {
  return readdirSync(path).flatMap((name) => {
    const below = join(path, name);
    return statSync(below).isDirectory() ? filesBelow(below) : [below];
  });
}

/** As it is, and as JSON and base64 carry it. */
function forms(secret: string): string[] {
  return [secret, Buffer.from(secret).toString("base64").replace(/=+$/, ""), encodeURIComponent(secret)];
}

async function page(path: string): Promise<string> {
  return (await fetch(`${server.endpoint}${path}`)).text();
}

async function post(path: string, body: object, token?: string): Promise<Record<string, string>> {
  const headers: Record<string, string> = token === undefined ? {} : { authorization: token };
  const response = await fetch(`${server.endpoint}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as Record<string, string>;
}

/** Does everything that passwords and tokens are good for, the wrong way too. @returns what must stay secret, and what was said. */
async function useSecrets(): Promise<{ tokens: string[]; said: string[] }> {
  const said: string[] = [];
  const tokens: string[] = [];
  const root = { user: "root", password: passwords.root };
  await withClient(server.endpoint, async (client) => {
    await client.call(methods.userAdd, { name: "root", password: passwords.root }, options);
    await client.call(methods.userAdd, { name: "ann", password: passwords.user }, options);
    await client.call(methods.userGrantRole, { user: "root", role: "root" }, options);
    await put(client, "before", storedValue);
    await client.call(methods.authEnable, {}, options);
    const wrong = client.call(methods.authenticate, { name: "ann", password: wrongPassword }, options);
    said.push(await wrong.then(() => "", String));
    for (const password of [passwords.user, passwords.user]) {
      tokens.push((await client.call(methods.authenticate, { name: "ann", password }, options)).token);
    }
  });
  await withClient(
    server.endpoint,
    async (client) => {
      await put(client, "after", storedValue);
      const compare = { key: bytes("after"), target: Compare_CompareTarget.VALUE, value: bytes(storedValue) };
      const requestPut = { key: bytes("txn"), value: bytes(storedValue) };
      const request = TxnRequest.fromPartial({ compare: [compare], success: [{ requestPut }] });
      await client.call(methods.txn, request, options);
      await client.call(methods.userChangePassword, { name: "ann", password: passwords.changed }, options);
    },
    root,
  );
  const answer = await post("/v3/auth/authenticate", { name: "root", password: passwords.root });
  tokens.push(answer["token"]);
  said.push(JSON.stringify(await post("/v3/auth/authenticate", { name: "root", password: wrongPassword })));
  said.push(JSON.stringify(await post("/v3/kv/range", { key: "YQ==" }, `${answer["token"]}x`)));
  said.push(JSON.stringify(await post("/v3/kv/range", { key: "YQ==" }, tokens[0])));
  await post("/v3/kv/put", { key: "YQ==", value: Buffer.from(storedValue).toString("base64") }, answer["token"]);
  const args = [`--endpoints=${server.endpoint}`, `--user=ann:${wrongPassword}`, "get", "a"];
  said.push(runToEnd(program("etcdctl"), args).stderr);
  return { tokens, said };
}

test.each(["simple", "jwt"] as const)("with %s tokens", { timeout: 120_000 }, async (kind) => {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const key = privateKey.export({ type: "pkcs8", format: "pem" }) as string;
  writeFileSync(join(folder, "key.pem"), key, { mode: 0o600 });
  writeFileSync(join(folder, "public.pem"), publicKey.export({ type: "spki", format: "pem" }));
  const jwt = `jwt,priv-key=${folder}/key.pem,pub-key=${folder}/public.pem,sign-method=ES256,ttl=10m`;
  server = await ServerProcess.start({
    dataDir: join(folder, "data"),
    args: [
      "--log-level=debug",
      "--bcrypt-cost=4",
      "--warning-unary-request-duration=1us",
      "--warning-apply-duration=1us",
      "--metrics=extensive",
      `--auth-token=${kind === "jwt" ? jwt : "simple"}`,
    ],
  });
  const { tokens, said } = await useSecrets();
  const pages = await Promise.all(["/metrics", "/debug/vars", "/health", "/version"].map((path) => page(path)));
  await server.stop();

  const talk = [...server.lines, ...pages, ...said].join("\n");
  expect(server.lines.filter((line) => line.includes("Authenticate")).length).toBeGreaterThan(0);
  expect(tokens.length).toBe(3);
  for (const secret of [...Object.values(passwords), wrongPassword, storedValue]) {
    for (const form of forms(secret)) expect(talk).not.toContain(form);
  }
  for (const token of tokens) {
    // The whole token, and the part that makes it one.
    expect(talk).not.toContain(token);
    expect(talk).not.toContain(kind === "jwt" ? token.split(".")[2] : token.split(".")[0]);
  }
  for (const line of key.split("\n").filter((part) => part.length > 20)) expect(talk).not.toContain(line);
  expect(talk).not.toMatch(/\$2[aby]?\$\d\d\$/);

  const onDisk = filesBelow(join(folder, "data")).map((path) => readFileSync(path));
  for (const secret of [...Object.values(passwords), wrongPassword]) {
    for (const form of forms(secret)) expect(onDisk.some((content) => content.includes(form))).toBe(false);
  }
  // The search finds what is there.
  expect(onDisk.some((content) => content.includes(storedValue))).toBe(true);
});
