/** The database of one member, streamed into a file. */
import { ClientError } from "../../client/client-error.ts";
import type { Client } from "../../client/client.ts";
import { methods } from "../../client/methods.ts";
import type { DiskFile } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { statusText } from "../../wire/errors.ts";
import { messageOf } from "../shared/failure.ts";

/** The stream ends with the SHA-256 of all before it; the database's part is a multiple of 512 bytes. */
const digestBytes = 32;
const blockBytes = 512;

export interface Download {
  readonly endpoint: string;
  readonly log: Logger;
  /** What the client library logs. */
  readonly clientLog: Logger;
  readonly options: { timeoutMs?: number };
  /** Called as bytes come, at most once for each percent of them, and at the end. */
  readonly onProgress?: (progress: Progress) => void;
}

/** Bytes of the database. */
export interface Progress {
  readonly done: number;
  readonly total: number;
}

/**
 * Writes the stream to `file` as it comes, and checks the digest at its end; nothing is synced.
 *
 * @returns the size with the digest, and the storage version as the server tells it (empty before 3.6).
 * @throws {ClientError} or {Error} when the stream breaks or the digest is not right.
 */
export async function downloadSnapshot(
  client: Client,
  file: DiskFile,
  { endpoint, log, clientLog, options, onProgress }: Download,
): Promise<{ size: number; version: string }> {
  const stream = await opened(client, options, clientLog);
  await stream.send({});
  stream.halfClose();
  clientLog.info("opened snapshot stream; downloading");
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  let tail = new Uint8Array(0);
  let size = 0;
  let version: string | undefined;
  let shown = 0;
  for await (const response of received(stream, clientLog)) {
    if (version === undefined) {
      version = response.version;
      log.info("fetching snapshot", { endpoint });
    }
    await file.write(response.blob, size);
    size += response.blob.length;
    const total = size + Number(response.remainingBytes);
    if (onProgress !== undefined && size < total && size - shown >= total / 100) {
      shown = size;
      onProgress({ done: size, total });
    }
    // The digest covers all but the last bytes, which are known only at the end.
    const bytes = Buffer.concat([tail, response.blob]);
    const hashed = Math.max(0, bytes.length - digestBytes);
    hash.update(bytes.subarray(0, hashed));
    tail = bytes.subarray(hashed);
  }
  onProgress?.({ done: size, total: size });
  clientLog.info("completed snapshot read; closing");
  if (size % blockBytes !== digestBytes) throw new Error(`sha256 checksum not found [bytes: ${size}]`);
  const digest = hash.digest();
  if (!digest.equals(tail)) {
    throw new Error(`expected sha256 [${[...tail].join(" ")}], got [${[...digest].join(" ")}]`);
  }
  return { size, version: version ?? "" };
}

async function opened(client: Client, options: Download["options"], log: Logger) {
  try {
    return await client.open(methods.snapshot, options);
  } catch (error) {
    log.error("streamer failed to create ClientStream", { error: statusOf(error) });
    throw error;
  }
}

/** Go's client shows the status itself, with its code, when the stream ends before the first response. */
async function* received<Response>(stream: AsyncIterable<Response>, log: Logger): AsyncIterableIterator<Response> {
  let isFirst = true;
  try {
    for await (const response of stream) {
      isFirst = false;
      yield response;
    }
  } catch (error) {
    log.warn("failed to receive from snapshot stream; closing", { error: statusOf(error) });
    throw isFirst ? new Error(statusOf(error), { cause: error }) : error;
  }
}

function statusOf(error: unknown): string {
  return error instanceof ClientError ? statusText(error.code, error.description) : messageOf(error);
}
