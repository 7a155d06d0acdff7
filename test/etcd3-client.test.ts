/** The npm client `etcd3` (grpc-js underneath) against an etcd in the same process, as a Node developer would use both. */
import { Etcd3, EtcdLockFailedError, type Watcher } from "etcd3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startEtcd, type TestEtcd } from "../src/testing/index.ts";

let etcd: TestEtcd;
let client: Etcd3;

beforeAll(async () => {
  etcd = await startEtcd();
  client = new Etcd3({ hosts: etcd.endpoint });
});

afterAll(async () => {
  client.close();
  await etcd[Symbol.asyncDispose]();
});

test("put, get, delete", async () => {
  await client.put("foo").value("bar");
  expect(await client.get("foo").string()).toBe("bar");
  expect((await client.delete().key("foo")).deleted).toBe("1");
  expect(await client.get("foo").string()).toBeNull();
});

test("ranges by prefix, sorted and limited", async () => {
  for (const name of ["c", "a", "b"]) await client.put(`range/${name}`).value(name);
  expect(await client.getAll().prefix("range/").strings()).toEqual({ "range/a": "a", "range/b": "b", "range/c": "c" });
  expect(await client.getAll().prefix("range/").sort("Key", "Descend").limit(2).keys()).toEqual(["range/c", "range/b"]);
  expect(await client.getAll().prefix("range/").count()).toBe(3);
});

test("a conditional transaction takes one branch", async () => {
  await client.put("account").value("10");
  const taken = await client.if("account", "Value", "==", "10").then(client.put("account").value("5")).commit();
  expect(taken.succeeded).toBe(true);
  const refused = await client.if("account", "Value", "==", "10").then(client.put("account").value("0")).commit();
  expect(refused.succeeded).toBe(false);
  expect(await client.get("account").string()).toBe("5");
});

test("a watcher sees puts and deletes in order", async () => {
  const watcher: Watcher = await client.watch().prefix("watched/").create();
  const seen: string[] = [];
  const complete = new Promise<void>((resolve) => {
    watcher.on("put", (kv) => void seen.push(`put ${kv.key.toString()}=${kv.value.toString()}`));
    watcher.on("delete", (kv) => {
      seen.push(`delete ${kv.key.toString()}`);
      resolve();
    });
  });
  await client.put("watched/a").value("1");
  await client.put("watched/a").value("2");
  await client.delete().key("watched/a");
  await complete;
  expect(seen).toEqual(["put watched/a=1", "put watched/a=2", "delete watched/a"]);
  await watcher.cancel();
});

test("keys of a lease go when it is revoked", async () => {
  const lease = client.lease(30);
  await lease.put("leased").value("x");
  expect(await client.get("leased").string()).toBe("x");
  await lease.revoke();
  expect(await client.get("leased").string()).toBeNull();
});

test("only one of many contenders holds a lock", async () => {
  let inside = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 5 }, () =>
      client.lock("mutex").do(async () => {
        most = Math.max(most, ++inside);
        await client.get("mutex-work").string();
        inside--;
      }),
    ),
  ).catch((error: unknown) => {
    // etcd3's lock gives up when it is held; those who got it were alone.
    expect(error).toBeInstanceOf(EtcdLockFailedError);
  });
  expect(most).toBe(1);
});

test("an election has a leader, and an observer learns of it", async () => {
  const election = client.election("singleton", 5);
  const campaign = election.campaign("candidate-1");
  await new Promise<void>((resolve, reject) => {
    campaign.on("elected", () => resolve());
    campaign.on("error", reject);
  });
  expect(await election.leader()).toBe("candidate-1");
  await campaign.resign();
});

test("a namespace keeps its keys, locks and leases apart", async () => {
  const space = client.namespace("tenant/");
  await space.put("name").value("ours");
  expect(await client.get("tenant/name").string()).toBe("ours");
  expect(await space.getAll().strings()).toEqual({ name: "ours" });
  await space.lock("job").do(async () => {
    expect(await client.getAll().prefix("tenant/job").count()).toBe(1);
  });
});

test("a software transaction is repeated when another writer was faster", async () => {
  await client.put("stm").value("1");
  let attempts = 0;
  await client.stm().transact(async (tx) => {
    const value = Number(await tx.get("stm").number());
    attempts += 1;
    if (attempts === 1) await client.put("stm").value("10");
    await tx.put("stm").value(value + 1);
  });
  expect(attempts).toBe(2);
  expect(await client.get("stm").number()).toBe(11);
});

test("a lease that is lost is told", async () => {
  const lease = client.lease(60);
  await lease.put("leased-until-lost").value("x");
  const lost = new Promise<string>((resolve) => lease.on("lost", ({ message }) => resolve(message)));
  await etcd.client.revoke(BigInt(await lease.grant()));
  await lease.keepaliveOnce().catch(() => undefined);
  expect(await lost).toMatch(/lease/i);
  expect(await client.get("leased-until-lost").string()).toBeNull();
});

test("a watcher goes on after a power failure and sees each change once", async () => {
  const watcher = await client.watch().prefix("survivor/").create();
  const seen: string[] = [];
  watcher.on("put", ({ value }) => void seen.push(value.toString()));
  await client.put("survivor/1").value("before");
  await expect.poll(() => seen, { timeout: 30_000 }).toEqual(["before"]);
  etcd.crash();
  await etcd.restart();
  await etcd.client.put("survivor/2", "after");
  await expect.poll(() => seen, { timeout: 30_000 }).toEqual(["before", "after"]);
  await watcher.cancel();
});

test("users may do what their roles allow and no more", async () => {
  await using locked = await startEtcd();
  const root = new Etcd3({ hosts: locked.endpoint, auth: { username: "root", password: "admin" } });
  const open = new Etcd3({ hosts: locked.endpoint });
  await open.role("root").create();
  await open.user("root").create("admin");
  await open.user("root").addRole("root");
  await open.role("reader").create();
  await open.role("reader").grant({ permission: "Read", range: open.range({ prefix: "public/" }) });
  await open.user("guest").create("secret");
  await open.user("guest").addRole("reader");
  await open.auth.authEnable();
  const guest = new Etcd3({ hosts: locked.endpoint, auth: { username: "guest", password: "secret" } });
  await root.put("public/a").value("1");
  expect(await guest.get("public/a").string()).toBe("1");
  await expect(guest.put("public/a").value("2")).rejects.toThrow("permission denied");
  await expect(guest.get("private").string()).rejects.toThrow("permission denied");
  for (const each of [root, open, guest]) each.close();
});
