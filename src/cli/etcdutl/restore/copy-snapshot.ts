/**
 * Copies the database out of a snapshot file. `snapshot save` puts the SHA-256 of all bytes before it at the end, which
 * makes the file's size leave 32 when divided by 512; a plain copy of `member/snap/db` has no such end.
 */
import { createHash } from "node:crypto";
import { equalBytes } from "../../../base/bytes.ts";
import type { Disk, DiskFile } from "../../../platform/disk.ts";
import { describeFailure, describingFailure } from "../../shared/file-error.ts";

const digestSize = 32;
/** Smallest sector of a disk; page sizes are multiples of it. */
const sectorSize = 512;
const chunkSize = 1 << 20;

/** Whether a file of `size` bytes ends in a digest. */
export function hasDigest(size: number): boolean {
  return size % sectorSize === digestSize;
}

/**
 * Writes the database in `source` to the new file `target`, unsynced.
 *
 * @throws {Error} with etcd's text when the digest is missing or wrong (unless `skipHashCheck`), or the disk refuses.
 */
export async function copySnapshot(
  disk: Disk,
  source: string,
  target: string,
  { skipHashCheck }: { readonly skipHashCheck: boolean },
): Promise<void> {
  const from = describingFailure("open", source, () => disk.open(source, "read"));
  try {
    const size = from.size();
    if (size < digestSize) throw new Error(`seek ${source}: invalid argument`);
    if (!hasDigest(size) && !skipHashCheck) throw new Error("snapshot missing hash but --skip-hash-check=false");
    const length = hasDigest(size) ? size - digestSize : size;
    const to = disk.open(target, "createNew");
    try {
      const digest = await copy(from, to, length);
      if (hasDigest(size) && !skipHashCheck) expectDigest(from, length, digest);
    } catch (error) {
      throw describeFailure("write", target, error);
    } finally {
      to.close();
    }
  } finally {
    from.close();
  }
}

/** Copies `[0, length)`; reading goes on while the chunk before is written. @returns the SHA-256 of it. */
async function copy(from: DiskFile, to: DiskFile, length: number): Promise<Uint8Array> {
  const hash = createHash("sha256");
  const buffers = [new Uint8Array(chunkSize), new Uint8Array(chunkSize)];
  let writing: Promise<void> = Promise.resolve();
  for (let position = 0, turn = 0; position < length; turn = 1 - turn) {
    const chunk = buffers[turn].subarray(0, Math.min(chunkSize, length - position));
    const count = await from.read(chunk, position);
    if (count < chunk.length) throw new Error(`read ${from.path}: unexpected EOF`);
    hash.update(chunk);
    await writing;
    writing = to.write(chunk, position);
    // Awaited in the next round; a failure in between must not count as unhandled.
    writing.catch(() => undefined);
    position += count;
  }
  await writing;
  return hash.digest();
}

function expectDigest(from: DiskFile, position: number, actual: Uint8Array): void {
  const expected = new Uint8Array(digestSize);
  from.readSync(expected, position);
  if (equalBytes(expected, actual)) return;
  throw new Error(`expected sha256 [${expected.join(" ")}], got [${actual.join(" ")}]`);
}
