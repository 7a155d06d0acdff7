import { expect, test } from "vitest";
import type { Connection } from "../platform/network.ts";
import { BufferPool, FlushQueue, Output, outputBufferSize } from "./output.ts";

/** A socket whose buffer is never full: the system takes every write at once. */
class EagerSocket {
  readonly waitingBytes = 0;
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
