/**
 * Constants and the meta page of a bbolt file, format version 2 (bbolt 1.3 to 1.5).
 *
 * The file is an array of pages; a page run is one page with a header and `overflow` more that only continue it.
 * All numbers are little endian.
 *
 *     page header, 16 bytes              meta, 64 bytes at page offset 16
 *     0  u64 id, = position in file      0  u32 magic      24 u64 root bucket: sequence
 *     8  u16 flags                       4  u32 version    32 u64 freelist page, all ones = not stored
 *     10 u16 count of elements           8  u32 page size  40 u64 high water mark
 *     12 u32 overflow                    12 u32 flags      48 u64 txid
 *                                        16 u64 root page  56 u64 FNV-1a of bytes 0..55
 *
 * Pages 0 and 1 hold the metas: transaction T writes page T mod 2. The valid one with the higher txid is the state of
 * the database; the other is there for the case that writing the newest was interrupted.
 *
 * See etcd-io/bbolt internal/common/{page,meta}.go.
 */
import { assert } from "../../base/assert.ts";

export const pageHeaderSize = 16;
export const elementSize = 16;
export const bucketHeaderSize = 16;
export const metaSize = 64;

export const PageFlag = { branch: 0x01, leaf: 0x02, meta: 0x04, freelist: 0x10 } as const;
/** Flag of a leaf element whose value is a bucket. */
export const bucketElement = 0x01;

export const keySizeMax = 32768;
export const valueSizeMax = 2 ** 31 - 2;
/** A page counts its elements in 16 bits, and the freelist gives the highest number a meaning of its own. */
export const elementCountMax = 0xfffe;
/** A tree of sound pages is never this deep; the limit ends the walk through pages that refer to each other in a ring. */
export const treeDepthMax = 40;

export const defaultPageSize = 4096;
const pageSizeMin = 1024;
const pageSizeMax = 1 << 24;
const magic = 0xed0cdaed;
const version = 2;

// Page contents are read through Uint32Array views, and bbolt itself writes in host order.
assert(new Uint8Array(new Uint32Array([1]).buffer)[0] === 1, "bbolt files need a little-endian machine");

/** One state of the database. Page ids and txid are counters below 2^53. */
export interface Meta {
  readonly pageSize: number;
  readonly root: number;
  /** Of the root bucket; etcd never uses it. */
  readonly sequence: bigint;
  /** Page of the stored free list, or undefined: then what is not reachable is free. */
  readonly freelist: number | undefined;
  /** High water mark: the first page id never allocated. */
  readonly highWater: number;
  readonly txid: number;
}

const noFreelist = 0xffff_ffff_ffff_ffffn;

/** Why a meta page is not usable, in bbolt's words. */
export type MetaFault = "invalid database" | "version mismatch" | "checksum error";

/** Decodes the meta of a page that starts at `offset`; a text when it is not valid. */
export function decodeMeta(bytes: Uint8Array, offset = 0): Meta | MetaFault {
  if (bytes.length < offset + pageHeaderSize + metaSize) return "invalid database";
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset + pageHeaderSize, metaSize);
  if (view.getUint32(0, true) !== magic) return "invalid database";
  if (view.getUint32(4, true) !== version) return "version mismatch";
  if (view.getBigUint64(56, true) !== checksum(bytes, offset + pageHeaderSize)) return "checksum error";
  const pageSize = view.getUint32(8, true);
  if (pageSize < pageSizeMin || pageSize > pageSizeMax || (pageSize & (pageSize - 1)) !== 0) return "invalid database";
  const freelist = view.getBigUint64(32, true);
  const counters = [view.getBigUint64(16, true), view.getBigUint64(40, true), view.getBigUint64(48, true)].map(Number);
  if (counters.some((counter) => !Number.isSafeInteger(counter))) return "invalid database";
  const [root, highWater, txid] = counters;
  return {
    pageSize,
    root,
    sequence: view.getBigUint64(24, true),
    freelist: freelist === noFreelist ? undefined : Number(freelist),
    highWater,
    txid,
  };
}

/** A whole meta page (zero padded) whose header carries `pageId` (0 or 1). Owned. */
export function encodeMetaPage(meta: Meta, pageId: number): Uint8Array {
  const bytes = new Uint8Array(meta.pageSize);
  const header = new DataView(bytes.buffer);
  header.setBigUint64(0, BigInt(pageId), true);
  header.setUint16(8, PageFlag.meta, true);
  const view = new DataView(bytes.buffer, pageHeaderSize, metaSize);
  view.setUint32(0, magic, true);
  view.setUint32(4, version, true);
  view.setUint32(8, meta.pageSize, true);
  view.setBigUint64(16, BigInt(meta.root), true);
  view.setBigUint64(24, meta.sequence, true);
  view.setBigUint64(32, meta.freelist === undefined ? noFreelist : BigInt(meta.freelist), true);
  view.setBigUint64(40, BigInt(meta.highWater), true);
  view.setBigUint64(48, BigInt(meta.txid), true);
  view.setBigUint64(56, checksum(bytes, pageHeaderSize), true);
  return bytes;
}

/** The four pages of a new database: two metas, an empty free list, an empty root leaf. Owned. */
export function encodeNewFile(pageSize: number): Uint8Array {
  const bytes = new Uint8Array(pageSize * 4);
  const meta: Meta = { pageSize, root: 3, sequence: 0n, freelist: 2, highWater: 4, txid: 0 };
  bytes.set(encodeMetaPage(meta, 0), 0);
  bytes.set(encodeMetaPage({ ...meta, txid: 1 }, 1), pageSize);
  writePageHeader(new Uint32Array(bytes.buffer), (2 * pageSize) / 4, 2, PageFlag.freelist, 0, 0);
  writePageHeader(new Uint32Array(bytes.buffer), (3 * pageSize) / 4, 3, PageFlag.leaf, 0, 0);
  return bytes;
}

/** Writes a page header at `word` (a word is 4 bytes). */
export function writePageHeader(
  words: Uint32Array,
  word: number,
  id: number,
  flags: number,
  count: number,
  overflow: number,
): void {
  words[word] = id >>> 0;
  words[word + 1] = Math.floor(id / 0x1_0000_0000);
  words[word + 2] = flags | (count << 16);
  words[word + 3] = overflow;
}

function checksum(bytes: Uint8Array, offset: number): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let index = offset; index < offset + 56; index++) {
    hash = ((hash ^ BigInt(bytes[index])) * 0x100000001b3n) & 0xffff_ffff_ffff_ffffn;
  }
  return hash;
}
