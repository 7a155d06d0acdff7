/**
 * Recorded data directories (test/fixtures/data-dirs): a gzipped tar of the directory and what a member must show on it.
 * WAL segments are 64 MB of mostly zeros, so files are written sparse.
 */
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";

const fixtures = join(import.meta.dirname, "..", "fixtures");
const TAR_BLOCK = 512;
const HOLE = 64 * 1024;

/** The text of a file below test/fixtures. */
export function fixtureText(path: string): string {
  return readFileSync(join(fixtures, path), "utf8");
}

/** A directory that the caller removes with {@link removeDirectory}. */
export function temporaryDirectory(): string {
  return mkdtempSync(join(tmpdir(), "quorate-"));
}

export function removeDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Unpacks a .tar.gz below test/fixtures into `target`. */
export function unpackFixture(path: string, target: string): void {
  const archive = gunzipSync(readFileSync(join(fixtures, path)));
  for (let position = 0; archive[position] !== 0;) {
    const header = archive.subarray(position, position + TAR_BLOCK);
    const name = textOf(header, 0, 100);
    const size = Number.parseInt(textOf(header, 124, 12), 8);
    const type = String.fromCharCode(header[156]);
    position += TAR_BLOCK;
    if (type === "5") mkdirSync(join(target, name), { recursive: true, mode: 0o700 });
    else if (type === "0") writeSparse(join(target, name), archive.subarray(position, position + size));
    else throw new Error(`${path}: tar entries of type ${type} are not expected in a fixture`);
    position += Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
  }
}

function textOf(header: Uint8Array, start: number, length: number): string {
  const field = Buffer.from(header.subarray(start, start + length)).toString("latin1");
  return field.slice(0, field.indexOf("\0"));
}

const zeros = new Uint8Array(HOLE);

function writeSparse(path: string, contents: Uint8Array): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const file = openSync(path, "w", 0o600);
  for (let position = 0; position < contents.length; position += HOLE) {
    const piece = contents.subarray(position, position + HOLE);
    if (Buffer.compare(piece, zeros.subarray(0, piece.length)) !== 0) writeSync(file, piece, 0, piece.length, position);
  }
  ftruncateSync(file, contents.length);
  closeSync(file);
}
