import { expect, test } from "vitest";
import { TestClock, connectionPair } from "../../test/support/memory-connection.ts";
import { preface } from "../../test/support/raw-http2.ts";
import { sniffConnection, sniffProtocol } from "./sniff.ts";

test("the protocol is told from the first bytes, as early as they can tell", () => {
  expect(sniffProtocol(preface)).toBe("http2");
  expect(sniffProtocol(preface.subarray(0, 14))).toBe("http2");
  for (let count = 0; count < 14; count++) expect(sniffProtocol(preface.subarray(0, count))).toBe("more");
  for (const line of ["GET / HTTP/1.1\r\n", "G", "POST /v3/kv/put HTTP/1.1", "PRI /x HTTP/1.1", "\x16\x03\x01"]) {
    expect(sniffProtocol(Buffer.from(line, "latin1"))).toBe("http1");
  }
});

function sniffing(pieceBytes: number) {
  const clock = new TestClock();
  const [near, far] = connectionPair(clock);
  near.pieceBytes = pieceBytes;
  const seen: string[] = [];
  sniffConnection(far, clock, {
    http2(connection, first) {
      connection.setHandlers({
        data: (chunk) => seen.push(`then ${chunk.length}`),
        end() {},
        drained() {},
        closed() {},
      });
      seen.push(`http2 ${Buffer.from(first).toString("latin1")}`);
    },
    http1(connection, first) {
      connection.setHandlers({ data() {}, end() {}, drained() {}, closed() {} });
      seen.push(`http1 ${Buffer.from(first).toString("latin1")}`);
    },
  });
  return { clock, near, far, seen };
}

test("whatever the pieces, the new owner gets every byte once", async () => {
  const { clock, near, seen } = sniffing(5);
  near.write(preface);
  await clock.settle();
  expect(seen).toEqual([`http2 ${Buffer.from(preface.subarray(0, 15)).toString("latin1")}`, "then 5", "then 4"]);
  expect(clock.pendingTimers).toBe(0);
  const other = sniffing(2);
  other.near.write(Buffer.from("PUT"));
  await other.clock.settle();
  expect(other.seen).toEqual(["http1 PU"]);
});

test("a connection that stays undecided is closed", async () => {
  const { clock, near, far, seen } = sniffing(100);
  near.write(Buffer.from("PRI"));
  await clock.advance(19_000);
  expect(far.destroyed).toBe(false);
  await clock.advance(2000);
  expect(far.destroyed).toBe(true);
  expect(seen).toEqual([]);
});
