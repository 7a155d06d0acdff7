/** Clients that are slow on purpose, bodies without end, and floods of logins, against running members over real sockets. */
import { connect } from "node:net";
import { request } from "node:http";
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { TestClock, connectionPair } from "../support/memory-connection.ts";
import { connect as connectClient, put, withClient } from "../support/client.ts";
import { patienceMs, removeFolder, ServerProcess, temporaryFolder } from "../support/process.ts";
import { ServerConnection } from "../../src/peer/http1/server-connection.ts";

const options = { timeoutMs: patienceMs };

describe("the peer port", () => {
  let folder: string;
  let server: ServerProcess;

  beforeAll(async () => {
    folder = temporaryFolder();
    server = await ServerProcess.start({ dataDir: `${folder}/data` });
  });

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  /** Posts chunks until the member has enough. */
  function postForEver(
    path: string,
    method: string,
  ): Promise<{ status: number; sentBytes: number; isClosed: boolean }> {
    return new Promise((resolve) => {
      let status = 0;
      let sentBytes = 0;
      let isOver = false;
      const chunk = Buffer.alloc(64 << 10, 1);
      const sent = request(`${server.peerUrl}${path}`, {
        method,
        agent: false,
        headers: { "transfer-encoding": "chunked" },
      });
      const more = (): void => {
        while (!isOver) {
          sentBytes += chunk.length;
          if (!sent.write(chunk)) return void sent.once("drain", more);
        }
      };
      sent.on("response", (response) => {
        status = response.statusCode ?? 0;
        response.resume();
      });
      sent.on("error", () => undefined); // closed while we were still writing
      sent.on("close", () => {
        isOver = true;
        resolve({ status, sentBytes, isClosed: true });
      });
      more();
    });
  }

  test.each([
    ["POST", "/leases"],
    ["POST", "/leases/internal"],
    ["GET", "/members/hashkv"],
  ])("%s %s: a body without end is refused after 64 KiB (PR 22132)", async (method, path) => {
    const { status, sentBytes, isClosed } = await postForEver(path, method);
    expect(isClosed).toBe(true);
    // A reset of the connection may overtake the answer.
    expect([413, 0]).toContain(status);
    expect(sentBytes).toBeLessThan(64 << 20);
    await withClient(server.endpoint, (client) => put(client, "a", "served"));
  });

  test("a raft message or snapshot without end, of somebody who is no member, is refused before it is read", async () => {
    for (const path of ["/raft", "/raft/snapshot", "/raft/probing"]) {
      const { sentBytes } = await postForEver(path, "POST");
      expect(sentBytes).toBeLessThan(64 << 20);
    }
    const kilobytes = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1];
    expect(Number(kilobytes) / 1024).toBeLessThan(400);
  });

  test(
    "a client that says nothing, or stops within a head, is closed",
    async () => {
      for (const said of ["", "GET /version HTTP/1.1\r\nHost: x\r\n"]) {
        const socket = connect(Number(new URL(server.peerUrl).port), "127.0.0.1", () => socket.write(said));
        socket.on("error", () => undefined);
        await new Promise((resolve) => socket.on("close", resolve));
      }
    },
    2 * patienceMs,
  );
});

test("a head for the peer port that drips for ever is cut off (in virtual time)", async () => {
  const clock = new TestClock();
  const [near, far] = connectionPair(clock);
  let isClosed = false;
  const served = new ServerConnection({
    connection: far,
    clock,
    handler: () => undefined,
    closed: () => (isClosed = true),
  });
  served.receive(Buffer.from("GET /version HTTP/1.1\r\nX: "));
  for (let second = 0; second < 60 && !isClosed; second++) {
    near.write(Buffer.from("x"));
    await clock.advance(1000);
  }
  expect(isClosed).toBe(true);
});

describe("passwords", () => {
  let folder: string;
  let server: ServerProcess;

  beforeAll(async () => {
    folder = temporaryFolder();
    server = await ServerProcess.start({ dataDir: `${folder}/data`, args: ["--bcrypt-cost=9"] });
    await withClient(server.endpoint, async (client) => {
      await client.call(methods.userAdd, { name: "root", password: "root" }, options);
      await client.call(methods.userGrantRole, { user: "root", role: "root" }, options);
      await client.call(methods.authEnable, {}, options);
    });
  });

  afterAll(async () => {
    await server.stop();
    removeFolder(folder);
  });

  test("an unknown user takes as long as a wrong password", async () => {
    await withClient(server.endpoint, async (client) => {
      const took = async (name: string): Promise<number> => {
        const began = performance.now();
        await expect(client.call(methods.authenticate, { name, password: "guess" }, options)).rejects.toThrow(
          "etcdserver: authentication failed, invalid user ID or password",
        );
        return performance.now() - began;
      };
      const known: number[] = [];
      const unknown: number[] = [];
      for (let n = 0; n < 9; n++) {
        known.push(await took("root"));
        unknown.push(await took(`nobody${n}`));
      }
      const median = (of: number[]): number => of.sort((a, b) => a - b)[4];
      expect(median(unknown)).toBeGreaterThan(median(known) / 3);
    });
  });

  test("a flood of logins waits in a line of limited length, and holds up nobody else", async () => {
    const attacker = connectClient(server.endpoint);
    const owner = connectClient(server.endpoint, { user: "root", password: "root" });
    await put(owner, "a", "before");
    let answered = 0;
    const texts = new Map<string, number>();
    for (let n = 0; n < 3000; n++) {
      void attacker.call(methods.authenticate, { name: "root", password: `guess${n}` }, options).then(
        () => undefined,
        (error: unknown) => {
          answered++;
          const text = (error as Error).message;
          texts.set(text, (texts.get(text) ?? 0) + 1);
        },
      );
    }
    await expect
      .poll(() => texts.get("etcdserver: too many requests") ?? 0, { timeout: patienceMs })
      .toBeGreaterThan(1000);
    // The line is full; hashing all of it takes many seconds.
    let puts = 0;
    while (puts < 100) {
      await put(owner, "a", `${puts}`);
      puts++;
    }
    expect(answered).toBeLessThan(3000);
    attacker.close();
    owner.close();
  });
});
