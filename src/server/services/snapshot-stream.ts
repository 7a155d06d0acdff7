/**
 * The messages of `Maintenance.Snapshot`: the database in blobs, then the SHA-256 of all of it as one more.
 *
 *     disk ──► a piece, the next one being read meanwhile ──► hash ──► blobs, views of the piece ──► connection
 *
 * A blob is not copied into its message: what stands before and behind it in `SnapshotResponse` is sent around it.
 */
import { createHash } from "node:crypto";
import { assert } from "../../base/assert.ts";
import { sendHighWaterBytes } from "../../grpc/stream-call.ts";
import type { SnapshotImage } from "../../storage/backend/backend.ts";
import { EtcdError } from "../../wire/errors.ts";
import { SnapshotResponse } from "../../wire/gen/etcdserverpb/rpc.ts";
import { sizeOfVarint, writeVarint } from "../../wire/hot/wire-writer.ts";

/** Bytes read at once. */
const pieceBytes = 512 * 1024;
/**
 * Buffers used in turn: one is read into, one is being sent, and the end of the one before may wait in the connection. No
 * more than {@link sendHighWaterBytes} wait there when the next piece is begun.
 */
const buffersCount = 3;
/** etcd's are 32 KiB; a client sees the same bytes. */
const blobBytes = 128 * 1024;
/** Key of `SnapshotResponse.blob`. */
const blobKey = 0x1a;

export interface SnapshotReceiver {
  /** Takes one message in parts. Resolves when no more than {@link sendHighWaterBytes} wait to be copied out of them. */
  send(parts: readonly Uint8Array[]): Promise<void>;
  /** Nobody waits for more. */
  readonly isOver: boolean;
}

/** Sends everything, or until the receiver is gone. @throws {DiskError} by rejection. */
export async function sendSnapshot(image: SnapshotImage, version: string, receiver: SnapshotReceiver): Promise<void> {
  assert(pieceBytes > sendHighWaterBytes, "what waits in the connection is the end of one piece");
  const hash = createHash("sha256");
  const buffers = Array.from({ length: buffersCount }, () => new Uint8Array(pieceBytes));
  let turn = 0;
  let next = readPiece(image, 0, buffers[turn]);
  for (let position = 0; position < image.size && !receiver.isOver;) {
    const piece = await next;
    if (piece.length === 0) throw new EtcdError("corrupt");
    turn = (turn + 1) % buffersCount;
    next = readPiece(image, position + piece.length, buffers[turn]);
    // Awaited in the next round; a failure in between must not count as unhandled.
    next.catch(() => undefined);
    hash.update(piece);
    for (let start = 0; start < piece.length && !receiver.isOver; start += blobBytes) {
      const blob = piece.subarray(start, start + blobBytes);
      await receiver.send(message(blob, image.size - position - start - blob.length, version));
    }
    position += piece.length;
  }
  // The file may be closed behind us.
  await next;
  if (!receiver.isOver) await receiver.send(message(hash.digest(), 0, version));
}

/** @returns a view of `buffer`; empty at the end. */
async function readPiece(image: SnapshotImage, position: number, buffer: Uint8Array): Promise<Uint8Array> {
  return buffer.subarray(0, await image.read(buffer, position));
}

function message(blob: Uint8Array, remaining: number, version: string): Uint8Array[] {
  const none = new Uint8Array(0);
  const before = SnapshotResponse.encode({
    header: undefined,
    remainingBytes: BigInt(remaining),
    blob: none,
    version: "",
  }).finish();
  const head = new Uint8Array(before.length + 1 + sizeOfVarint(blob.length));
  head.set(before);
  head[before.length] = blobKey;
  writeVarint(head, before.length + 1, blob.length);
  const tail = SnapshotResponse.encode({ header: undefined, remainingBytes: 0n, blob: none, version }).finish();
  return [head, blob, tail];
}
