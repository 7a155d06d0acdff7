/** Encrypts a file to age recipients (age-encryption.org/v1), with bounded memory; `age -d` reads it. */
import { createHash } from "node:crypto";
import { Decrypter, Encrypter } from "age-encryption";
import type { Disk, DiskFile } from "../../../platform/disk.ts";

const chunkSize = 1 << 20;

export interface FileDigest {
  readonly size: number;
  readonly sha256: string;
}

/** @throws {Error} naming the recipient that is none. */
export function createEncrypter(recipients: readonly string[]): Encrypter {
  const encrypter = new Encrypter();
  for (const recipient of recipients) {
    try {
      encrypter.addRecipient(recipient);
    } catch (cause) {
      throw new Error(`${JSON.stringify(recipient)} is not an age recipient (age1...)`, { cause });
    }
  }
  return encrypter;
}

/** Writes `target` new and synced. @returns what is in it. */
export async function encryptFile(
  disk: Disk,
  encrypter: Encrypter,
  source: string,
  target: string,
): Promise<FileDigest> {
  return transformFile(disk, source, target, (plain) => encrypter.encrypt(plain));
}

/**
 * The way back. Writes `target` new and synced.
 *
 * @param identities - `AGE-SECRET-KEY-...`, of which one must fit.
 * @throws {Error} when none does, or the file was changed.
 */
export async function decryptFile(
  disk: Disk,
  identities: readonly string[],
  source: string,
  target: string,
): Promise<FileDigest> {
  const decrypter = new Decrypter();
  for (const identity of identities) decrypter.addIdentity(identity);
  return transformFile(disk, source, target, (sealed) => decrypter.decrypt(sealed));
}

async function transformFile(
  disk: Disk,
  source: string,
  target: string,
  transform: (input: ReadableStream<Uint8Array>) => Promise<ReadableStream<Uint8Array>>,
): Promise<FileDigest> {
  const from = disk.open(source, "read");
  try {
    const to = disk.open(target, "createNew", 0o600);
    try {
      let position = 0;
      const input = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const chunk = new Uint8Array(chunkSize);
          const count = await from.read(chunk, position);
          position += count;
          if (count > 0) controller.enqueue(chunk.subarray(0, count));
          if (count < chunkSize) controller.close();
        },
      });
      return await writeAll(to, (await transform(input)).getReader());
    } finally {
      to.close();
    }
  } finally {
    from.close();
  }
}

async function writeAll(to: DiskFile, reader: ReadableStreamDefaultReader<Uint8Array>): Promise<FileDigest> {
  const hash = createHash("sha256");
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    hash.update(value);
    await to.write(value, size);
    size += value.length;
  }
  await to.sync();
  return { size, sha256: hash.digest("hex") };
}

/** As {@link encryptFile}, of a file that stays as it is. */
export async function digestFile(disk: Disk, path: string): Promise<FileDigest> {
  const file = disk.open(path, "read");
  const hash = createHash("sha256");
  const chunk = new Uint8Array(chunkSize);
  let size = 0;
  try {
    for (;;) {
      const count = await file.read(chunk, size);
      if (count === 0) break;
      hash.update(chunk.subarray(0, count));
      size += count;
    }
  } finally {
    file.close();
  }
  return { size, sha256: hash.digest("hex") };
}
