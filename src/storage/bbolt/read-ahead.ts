/**
 * Reads for long scans: big pieces of the file at once, past the page cache, so that a full scan neither pays a system
 * call per page nor throws out what others use. Pieces grow while the scan proves sequential and shrink when it jumps.
 *
 * A transient scan, whose reader keeps no view, reads into the memory of the oldest piece: a scan of gigabytes then costs
 * no garbage. Branch pages, which a cursor holds on to while it goes through their leaves, never come from such memory.
 */
import type { DiskFile } from "../../platform/disk.ts";
import type { PageSource } from "./cursor.ts";
import { PageFlag } from "./format.ts";
import { Page, pageFault } from "./page.ts";

const pieceBytesMin = 16 << 10;
const pieceBytesMax = 1 << 20;
/** Pieces kept: the scan itself, branches on the way, and runs that cross each other. */
const piecesKept = 4;

interface Piece {
  readonly first: number;
  readonly count: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

export interface ReadAheadOptions {
  readonly file: DiskFile;
  readonly pageSize: number;
  /** Pages from here on are not part of the snapshot. */
  readonly highWater: number;
  /** A page from the cache, or undefined. */
  cached(id: number): Page | undefined;
  /** Reads one page the ordinary way, with full error reporting. */
  load(id: number): Page;
  readonly isTransient: boolean;
}

export class ReadAhead implements PageSource {
  readonly #options: ReadAheadOptions;
  readonly #pieces: Piece[] = [];
  #pieceBytes = pieceBytesMin;

  constructor(options: ReadAheadOptions) {
    this.#options = options;
  }

  page(id: number): Page {
    const cached = this.#options.cached(id);
    if (cached !== undefined) return cached;
    const { highWater } = this.#options;
    if (id < 2 || id >= highWater) return this.#options.load(id);
    const piece = this.#pieceOf(id) ?? this.#readPiece(id);
    return this.#pageIn(piece, id) ?? this.#options.load(id);
  }

  #pieceOf(id: number): Piece | undefined {
    for (const piece of this.#pieces) if (id >= piece.first && id < piece.first + piece.count) return piece;
    return undefined;
  }

  #readPiece(id: number): Piece {
    const { file, pageSize, highWater } = this.#options;
    const last = this.#pieces[0];
    const near = last !== undefined && id >= last.first && id < last.first + last.count * 3;
    this.#pieceBytes = near
      ? Math.min(this.#pieceBytes * 2, pieceBytesMax)
      : Math.max(this.#pieceBytes >>> 1, pieceBytesMin);
    const count = Math.min(Math.max(Math.floor(this.#pieceBytes / pageSize), 1), highWater - id);
    const oldest = this.#pieces.length === piecesKept ? this.#pieces.pop() : undefined;
    const bytes = this.#memory(count * pageSize, oldest);
    const read = file.readSync(bytes, id * pageSize);
    const words = bytes === oldest?.bytes ? oldest.words : new Uint32Array(bytes.buffer);
    const piece: Piece = { first: id, count: Math.floor(read / pageSize), bytes, words };
    this.#pieces.unshift(piece);
    return piece;
  }

  /** Memory for a piece: that of the oldest one when nobody can have kept a view of it. */
  #memory(size: number, oldest: Piece | undefined): Uint8Array {
    const canReuse = this.#options.isTransient && oldest?.bytes.length === size;
    return canReuse && oldest !== undefined ? oldest.bytes : new Uint8Array(size);
  }

  /** Undefined when the page is not whole in the piece or not sound: then `load` reads it, and says what is wrong. */
  #pageIn(piece: Piece, id: number): Page | undefined {
    const { pageSize, isTransient } = this.#options;
    const index = id - piece.first;
    if (index >= piece.count) return undefined;
    const start = index * pageSize;
    const word = start >>> 2;
    if (piece.words[word] !== id >>> 0) return undefined;
    if (isTransient && (piece.words[word + 2] & 0xffff) !== PageFlag.leaf) return undefined;
    const run = piece.words[word + 3] + 1;
    if (index + run > piece.count) return undefined;
    const size = run * pageSize;
    if (pageFault(piece.bytes, piece.words, start, size) !== undefined) return undefined;
    return new Page(id, piece.bytes.subarray(start, start + size));
  }
}
