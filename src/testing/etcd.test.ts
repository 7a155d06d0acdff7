import { request } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Change, startEtcd } from "./index.ts";

function untilSome<T>(found: () => T | undefined): Promise<T> {
  return expect
    .poll(found, { timeout: 30_000, interval: 5 })
    .toBeDefined()
    .then(() => found() as T);
}

test("an etcd in memory serves, and ends with its scope", async () => {
  let endpoint: string;
  {
    await using etcd = await startEtcd();
    ({ endpoint } = etcd);
    expect(await etcd.client.put("greeting", "hello")).toBe(2n);
    expect(await etcd.client.get("greeting")).toBe("hello");
    expect(await etcd.client.entry("greeting")).toMatchObject({ version: 1n, modRevision: 2n, lease: 0n });
    expect(await etcd.client.putIf("greeting", 1n, "late")).toBe(false);
    expect(await etcd.client.putIf("greeting", 2n, "again")).toBe(true);
    expect(await etcd.client.get("greeting", { revision: 2n })).toBe("hello");
    expect(await etcd.client.list("greet")).toHaveLength(1);
    expect(await etcd.client.delete("greeting")).toBe(true);
    expect(await etcd.client.delete("greeting")).toBe(false);
  }
  await expect(health(endpoint)).rejects.toThrow(/ECONNREFUSED/);
});

test("it answers health and JSON on the same port", async () => {
  await using etcd = await startEtcd();
  expect(await health(etcd.endpoint)).toBe('{"health":"true","reason":""}');
});

test("what was acknowledged outlives a crash and a stop, at the same address", async () => {
  await using etcd = await startEtcd();
  const { endpoint } = etcd;
  for (let round = 0; round < 5; round++) {
    await etcd.client.put(`key-${round}`, "kept");
    if (round % 2 === 0) etcd.crash();
    else await etcd.stop();
    expect(etcd.isRunning).toBe(false);
    await etcd.restart();
    expect(etcd.endpoint).toBe(endpoint);
    expect(await etcd.client.list("key-")).toHaveLength(round + 1);
  }
});

test("a watch goes on over a crash with every change once", async () => {
  await using etcd = await startEtcd();
  const changes: Change[] = [];
  const stop = etcd.client.watch("w/", (change) => changes.push(change), { prefix: true, fromRevision: 1n });
  await etcd.client.put("w/1", "a");
  await untilSome(() => changes[0]);
  etcd.crash();
  await etcd.restart();
  await etcd.client.put("w/2", "b");
  await etcd.client.delete("w/1");
  await untilSome(() => changes[2]);
  stop();
  expect(changes).toEqual([
    { type: "put", key: "w/1", value: "a", revision: 2n },
    { type: "put", key: "w/2", value: "b", revision: 3n },
    { type: "delete", key: "w/1", revision: 4n },
  ]);
});

test("a directory is etcd's own data directory and is there for the next start", async () => {
  const folder = mkdtempSync(join(tmpdir(), "quorate-testing-"));
  try {
    {
      await using etcd = await startEtcd({ dataDir: join(folder, "data") });
      await etcd.client.put("on", "disk");
      expect(() => etcd.crash()).toThrow(/real disk/);
    }
    await using etcd = await startEtcd({ dataDir: join(folder, "data") });
    expect(await etcd.client.get("on")).toBe("disk");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("flags reach the member, wrong ones are refused with etcd's text", async () => {
  await using etcd = await startEtcd({ flags: ["--max-request-bytes=1024"] });
  await expect(etcd.client.put("big", "x".repeat(4096))).rejects.toThrow("etcdserver: request is too large");
  await expect(startEtcd({ flags: ["--no-such-flag"] })).rejects.toThrow(
    "flag provided but not defined: -no-such-flag",
  );
});

test("two hundred of them live in one process, one after the other and at the same time", async () => {
  const many = await Promise.all(Array.from({ length: 20 }, () => startEtcd()));
  await Promise.all(many.map(({ client }, position) => client.put("me", `${position}`)));
  expect(await Promise.all(many.map(({ client }) => client.get("me")))).toEqual(
    many.map((_, position) => `${position}`),
  );
  await Promise.all(many.map((etcd) => etcd[Symbol.asyncDispose]()));
  for (let round = 0; round < 180; round++) {
    await using etcd = await startEtcd();
    await etcd.client.put("round", `${round}`);
  }
}, 240_000);

function health(endpoint: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request(`${endpoint}/health`, (response) => {
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (body += chunk));
      response.on("end", () => resolve(body));
    })
      .on("error", reject)
      .end();
  });
}
