/**
 * What a member is given that it must refuse: each gets etcd's own error, changes nothing, and the others are served on.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { methods } from "../../src/client/methods.ts";
import { FrameType } from "../../src/http2/frame.ts";
import { RangeRequest } from "../../src/wire/gen/etcdserverpb/rpc.ts";
import { connect, get, put, withClient } from "../support/client.ts";
import { freePorts, program, removeFolder, runToEnd, ServerProcess, temporaryFolder } from "../support/process.ts";
import { frame, goAwayCode } from "../support/raw-http2.ts";
import { calls, hasEnded, opening, sayAndHear, sayAndListen, sayAndTurnDeaf } from "./raw-grpc.ts";

describe("directories that are not a member's: exit code 1, the reason in the log, nothing changed", () => {
  let folder: string;

  beforeEach(() => {
    folder = temporaryFolder();
  });

  afterEach(() => removeFolder(folder));

  /** The fatal line of a start that must fail. */
  async function refusal(dataDir: string, args: readonly string[] = []): Promise<string> {
    const server = await ServerProcess.launch({ dataDir, args });
    expect(await server.exit()).toBe(1);
    const { level, msg, error } = JSON.parse(server.lines.at(-1) ?? "{}") as Record<string, string>;
    expect({ level, msg }).toEqual({ level: "fatal", msg: "discovery failed" });
    return error;
  }

  test("a directory of a v2 proxy", async () => {
    mkdirSync(join(folder, "proxy"));
    expect(await refusal(folder)).toBe("v2 http proxy has already been deprecated in 3.6");
    mkdirSync(join(folder, "member"));
    expect(await refusal(folder)).toBe("invalid datadir; both member and proxy directories exist");
    expect(readdirSync(folder)).toEqual(["member", "proxy"]);
  });

  test("a file", async () => {
    const file = join(folder, "file");
    writeFileSync(file, "mine");
    expect(await refusal(file)).toContain("failed to list data directory");
    expect(readFileSync(file, "utf8")).toBe("mine");
  });

  test("a place that cannot be written to", async () => {
    expect(await refusal("/proc/nothing")).toBe(
      "cannot access data directory: mkdir /proc/nothing: no such file or directory",
    );
    expect(await refusal(join(folder, "data"), ["--wal-dir=/proc/nothing"])).toContain("no such file or directory");
  });

  test("a database that is none", async () => {
    const path = join(folder, "member", "snap", "db");
    mkdirSync(join(folder, "member", "snap"), { recursive: true });
    const garbage = Buffer.alloc(65_536, "not a database. ");
    writeFileSync(path, garbage);
    expect(await refusal(folder)).toContain("invalid database");
    expect(readFileSync(path).equals(garbage)).toBe(true);
  });

  test("a log that is none", async () => {
    const wal = join(folder, "member", "wal");
    mkdirSync(wal, { recursive: true });
    writeFileSync(join(wal, "0000000000000000-0000000000000000.wal"), Buffer.alloc(65_536, "not a log. "));
    expect(await refusal(folder)).toContain("0000000000000000-0000000000000000.wal");
  });

  test("other files beside are told of, and left alone", async () => {
    writeFileSync(join(folder, "readme"), "mine");
    const server = await ServerProcess.start({ dataDir: folder });
    expect(server.lines.join("\n")).toContain('"msg":"found invalid file under data directory","filename":"readme"');
    await server.stop();
    expect(readFileSync(join(folder, "readme"), "utf8")).toBe("mine");
  });

  test("a port in use: nothing is written", async () => {
    const first = await ServerProcess.start({ dataDir: join(folder, "first") });
    const url = first.endpoint;
    const error = await refusal(join(folder, "second"), [
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
    ]);
    expect(error).toBe(`listen tcp 127.0.0.1:${first.port}: bind: address already in use`);
    expect(existsSync(join(folder, "second"))).toBe(false);
    await first.stop();
  });

  test("HTTP and gRPC on one URL twice", async () => {
    const [port] = await freePorts(1);
    const url = `http://127.0.0.1:${port}`;
    const args = [`--listen-client-urls=${url}`, `--advertise-client-urls=${url}`, `--listen-client-http-urls=${url}`];
    expect(await refusal(join(folder, "data"), args)).toBe(
      `cannot bind both --listen-client-urls and --listen-client-http-urls on the same url ${url}`,
    );
  });
});

describe("clients", () => {
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

  /** The member's revision, by a client of its own: it serves, and nothing was written. */
  const revision = (): Promise<number> =>
    withClient(server.endpoint, async (client) => {
      const { header } = await client.call(methods.range, { key: Buffer.from("a") }, { timeoutMs: 10_000 });
      return Number(header?.revision);
    });

  test("a value larger than a request may be", async () => {
    const before = await revision();
    await withClient(server.endpoint, async (client) => {
      await expect(put(client, "large", new Uint8Array(1_600_000))).rejects.toThrow("etcdserver: request is too large");
    });
    const { code, stderr } = runToEnd(program("etcdctl"), [`--endpoints=${server.endpoint}`, "put", "a"], {
      input: "x".repeat(2_100_000),
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/trying to send message larger than max|request is too large/);
    expect(await revision()).toBe(before);
  });

  test("a message beyond the limit of gRPC", async () => {
    const before = await revision();
    const huge = opening.length + 2_200_000;
    const frames = Array.from({ length: Math.ceil(huge / 16_384) }, () =>
      frame(FrameType.data, 0, 1, new Uint8Array(16_384)),
    );
    const start = calls({ id: 1, path: "/etcdserverpb.KV/Put", body: new Uint8Array(0) });
    const header = frame(FrameType.data, 0, 1, Uint8Array.of(0, 0, 0x40, 0, 0));
    const withoutEnd = start.subarray(0, start.length - (9 + 5));
    const goodbye = frame(FrameType.data, 0, 0, Uint8Array.of(0));
    const heard = await sayAndListen(server.port, Buffer.concat([opening, withoutEnd, header, ...frames, goodbye]));
    expect(hasEnded(heard, 1)).toBe(true);
    expect(await revision()).toBe(before);
  });

  test.each([
    ["a frame on stream 0 that belongs to a stream", frame(FrameType.data, 0, 0, [1]), 1],
    ["a frame larger than agreed", frame(FrameType.data, 0, 1, [], 0xff_ffff), 6],
    ["a window that grows by nothing", frame(FrameType.windowUpdate, 0, 0, [0, 0, 0, 0]), 1],
    ["settings of a length that is none", frame(FrameType.settings, 0, 0, [1, 2, 3]), 6],
    ["header bytes that are none", frame(FrameType.headers, 5, 1, [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), 9],
  ])("%s ends the connection with the code of its error", async (_, bytes, code) => {
    const before = await revision();
    expect(goAwayCode(await sayAndListen(server.port, Buffer.concat([opening, bytes])))).toBe(code);
    expect(await revision()).toBe(before);
  });

  test("neither HTTP nor HTTP/2", async () => {
    const heard = await sayAndHear(server.port, Buffer.from("\u0016\u0003\u0001 hello\r\n\r\n"));
    expect(heard.toString()).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    await revision();
  });

  test.each([
    ["Range", Uint8Array.of(0x0a, 0x7f, 1)],
    ["Put", Uint8Array.of(0xff, 0xff, 0xff)],
    ["Txn", Uint8Array.of(0x0a, 0x02, 0x0a, 0x09)],
    ["DeleteRange", Uint8Array.of(0x0b)],
  ])("a %s that is no protobuf is answered, and the connection lives on", async (method, body) => {
    const before = await revision();
    const unreadable = { id: 1, path: `/etcdserverpb.KV/${method}`, body };
    const readable = { id: 3, path: "/etcdserverpb.KV/Range", body: Uint8Array.of(0x0a, 1, 0x61) };
    const said = Buffer.concat([opening, calls(unreadable, readable)]);
    const heard = await sayAndListen(server.port, said, (part) => hasEnded(part, 1) && hasEnded(part, 3));
    // An error has no message, only trailers; the range after it has one.
    const withMessage = heard.filter(({ type }) => type === FrameType.data).map(({ id }) => id);
    expect(new Set(withMessage)).toEqual(new Set([3]));
    expect(await revision()).toBe(before);
  });

  test("a client that asks for much and never reads does not stop the others, nor fill the memory", async () => {
    const client = connect(server.endpoint);
    for (let index = 0; index < 40; index++) await put(client, `big/${index}`, new Uint8Array(1 << 20));
    const everything = RangeRequest.encode(
      RangeRequest.create({ key: Buffer.from("big/"), rangeEnd: Buffer.from("big0") }),
    ).finish();
    const asked = Array.from({ length: 20 }, (_, index) => ({
      id: index * 2 + 1,
      path: "/etcdserverpb.KV/Range",
      body: everything,
    }));
    const deaf = await Promise.all(
      Array.from({ length: 3 }, () => sayAndTurnDeaf(server.port, Buffer.concat([opening, calls(...asked)]))),
    );
    for (let index = 0; index < 200; index++) await put(client, "small", `${index}`);
    expect(await get(client, "small")).toBe("199");
    // 60 answers of 40 MiB each were asked for.
    expect(residentMegabytes(server.pid)).toBeLessThan(1_000);
    for (const socket of deaf) socket.destroy();
    client.close();
  });
});

function residentMegabytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1024;
}

/** A file system of its own, of a size of its own; undefined where that is not allowed. */
function smallFileSystem(path: string, megabytes: number): boolean {
  try {
    mkdirSync(path);
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "tmpfs", path], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

test("a full disk: the member stops with the reason, and starts again with every acknowledged write when there is space", async (context) => {
  const folder = temporaryFolder();
  const drive = join(folder, "drive");
  if (!smallFileSystem(drive, 100)) {
    removeFolder(folder);
    context.skip("mounting a small file system needs root");
  }
  try {
    const dataDir = join(drive, "data");
    writeFileSync(join(drive, "ballast"), Buffer.alloc(40 << 20, 1));
    const server = await ServerProcess.start({ dataDir });
    const acknowledged: number[] = [];
    await withClient(server.endpoint, async (client) => {
      try {
        for (let index = 0; ; index++) {
          await put(client, `key/${index}`, Buffer.alloc(1 << 20, index));
          acknowledged.push(index);
        }
      } catch {
        // No more space: the outcome of this write is unknown.
      }
    });
    expect(await server.exit()).toBe(1);
    const fatal = JSON.parse(server.lines.at(-1) ?? "{}") as Record<string, string>;
    expect(fatal["level"]).toBe("fatal");
    expect(fatal["error"]).toContain("no space left on device");
    expect(acknowledged.length).toBeGreaterThan(5);

    rmSync(join(drive, "ballast"));
    const again = await ServerProcess.start({ dataDir });
    await withClient(again.endpoint, async (client) => {
      const { kvs } = await client.call(
        methods.range,
        { key: Buffer.from("key/"), rangeEnd: Buffer.from("key0"), keysOnly: true },
        { timeoutMs: 30_000 },
      );
      const found = new Set(kvs.map(({ key }) => Buffer.from(key).toString()));
      expect(acknowledged.filter((index) => !found.has(`key/${index}`))).toEqual([]);
      await put(client, "after", "the flood");
    });
    expect(await again.stop()).toBe(0);
  } finally {
    execFileSync("umount", ["-l", drive]);
    removeFolder(folder);
  }
});
