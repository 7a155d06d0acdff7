import { expect, test } from "vitest";
import type { Connection } from "../platform/network.ts";
import { BufferPool, FlushQueue, Output, outputBufferSize } from "./output.ts";

/** A socket whose buffer is never full: the system takes every write at once. */
class EagerSocket {
  waitingBytes = 0;
  readonly written: Buffer[] = [];

  write(bytes: Uint8Array): boolean {
    this.written.push(Buffer.from(bytes));
    return true;
  }

  cork(): void {
    // Nothing waits.
  }

  uncork(): void {
    // Nothing waits.
  }
}

test("megabytes of one turn reach a socket that takes everything at once, in order", async () => {
  const socket = new EagerSocket();
  const output = new Output(socket as unknown as Connection, new BufferPool(), new FlushQueue());
  const size = 16_384;
  const count = 300;
  expect(size * count).toBeGreaterThan(64 * outputBufferSize);
  for (let index = 0; index < count; index++) {
    output.reserve(size);
    output.bytes.set(new Uint8Array(size).fill(index), output.position);
    output.position += size;
  }
  await Promise.resolve();
  const all = Buffer.concat(socket.written);
  expect(all.length).toBe(size * count);
  for (let index = 0; index < count; index++) expect(all[index * size]).toBe(index & 0xff);
});

/** A socket that takes nothing before the write returns, as one under TLS, and is never full. */
class LateSocket extends EagerSocket {
  override write(bytes: Uint8Array): boolean {
    this.waitingBytes += bytes.length;
    return super.write(bytes);
  }
}

class CountingPool extends BufferPool {
  lent = 0;

  override take(isLarge: boolean): Uint8Array {
    this.lent++;
    return super.take(isLarge);
  }

  override give(buffer: Uint8Array): void {
    this.lent--;
    super.give(buffer);
  }
}

test("a socket that takes everything a little later gets its buffers back to the pool, however much is sent", async () => {
  const socket = new LateSocket();
  const pool = new CountingPool();
  const output = new Output(socket as unknown as Connection, pool, new FlushQueue());
  for (let index = 0; index < 1000; index++) {
    output.reserve(10_000);
    output.position += 10_000;
    await Promise.resolve();
    expect(socket.waitingBytes).toBe(10_000);
    socket.waitingBytes = 0;
    output.emptied();
    expect(pool.lent).toBe(0);
  }
});

test("a connection with little to say borrows small buffers, and large ones while it has much", async () => {
  const sizes: number[] = [];
  class NotingPool extends BufferPool {
    override take(isLarge: boolean): Uint8Array {
      const buffer = super.take(isLarge);
      sizes.push(buffer.length);
      return buffer;
    }
  }
  const socket = new EagerSocket();
  const output = new Output(socket as unknown as Connection, new NotingPool(), new FlushQueue());
  const turn = async (size: number, count: number): Promise<number[]> => {
    sizes.length = 0;
    for (let index = 0; index < count; index++) {
      output.reserve(size);
      output.position += size;
    }
    await Promise.resolve();
    return [...sizes];
  };
  expect(await turn(100, 1)).toEqual([4096]);
  expect(await turn(100, 100)).toEqual([4096, outputBufferSize]);
  expect(await turn(100, 100)).toEqual([outputBufferSize]);
  expect(await turn(100, 1)).toEqual([outputBufferSize]);
  expect(await turn(100, 1)).toEqual([4096]);
  expect(await turn(10_000, 1)).toEqual([outputBufferSize]);
});
