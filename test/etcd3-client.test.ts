/** The npm client `etcd3` (grpc-js underneath) against a member of ours, as a Node developer would use it. */
import { Etcd3, EtcdLockFailedError, type Watcher } from "etcd3";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeFolder, ServerProcess, temporaryFolder } from "./support/process.ts";

let folder: string;
let server: ServerProcess;
let client: Etcd3;

beforeAll(async () => {
  folder = temporaryFolder();
  server = await ServerProcess.start({ dataDir: `${folder}/data` });
  client = new Etcd3({ hosts: server.endpoint });
});

afterAll(async () => {
  client.close();
  await server.stop();
  removeFolder(folder);
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
