/**
 * Which pages the tree of a meta uses. The file is read once from front to back in big pieces; each page's header is
 * noted and its contents are checked on the way. Then the tree is walked: only branch pages, and leaves that hold buckets, are
 * looked into again. What lies in pages that the walk does not reach is garbage and does not matter.
 */
import type { Steps } from "../../base/steps.ts";
import type { DiskFile } from "../../platform/disk.ts";
import { bucketElement, type Meta, PageFlag, pageHeaderSize, treeDepthMax } from "./format.ts";
import { type Page, pageFault } from "./page.ts";

export interface ReachableOptions {
  readonly file: DiskFile;
  readonly meta: Meta;
  page(id: number): Page;
  corrupt(what: string, page?: number): never;
}

const pieceBytes = 1 << 20;
/** Branch pages looked into between two yields; each has a few hundred children. */
const branchesPerStep = 16;

/** What the first pass saw at a page position. */
const Seen = { unknown: 0, leaf: 1 } as const;

/**
 * One byte a page below the high water mark: 1 = used.
 *
 * @throws {CorruptionError} from a step: a page is used twice, damaged, or missing.
 */
export function* reachablePages(options: ReachableOptions): Steps<Uint8Array> {
  const { meta } = options;
  const { seen, overflow } = yield* surveyPages(options);
  const used = new Uint8Array(meta.highWater);
  used[0] = 1;
  used[1] = 1;
  const use = (id: number, run: number): void => {
    if (id < 2 || id + run > meta.highWater) options.corrupt(`pages ${id} to ${id + run - 1} are outside the database`);
    for (let page = id; page < id + run; page++) {
      if (used[page] !== 0) options.corrupt("it is referred to twice", page);
      used[page] = 1;
    }
  };
  if (meta.freelist !== undefined) use(meta.freelist, overflow[meta.freelist] + 1);

  let walked = 0;
  const walk = function* (id: number, depth: number): Steps<void> {
    if (depth > treeDepthMax) options.corrupt("the tree is too deep", id);
    // A sound leaf without buckets needs no second look.
    if (id >= 2 && id < meta.highWater && seen[id] === Seen.leaf) {
      use(id, overflow[id] + 1);
      return;
    }
    if (++walked % branchesPerStep === 0) yield;
    const page = options.page(id);
    use(id, page.bytes.length / meta.pageSize);
    for (let index = 0; index < page.count; index++) {
      if (!page.isLeaf) {
        // Most of all pages: no generator for each.
        const child = page.childAt(index);
        if (child >= 2 && child < meta.highWater && seen[child] === Seen.leaf) use(child, overflow[child] + 1);
        else yield* walk(child, depth + 1);
      } else if (page.isBucketAt(index)) {
        const root = bucketRoot(page.valueAt(index), options, id);
        if (root !== 0) yield* walk(root, depth + 1);
      }
    }
  };
  yield* walk(meta.root, 0);
  return used;
}

function bucketRoot(value: Uint8Array, options: ReachableOptions, page: number): number {
  if (value.length < 16) options.corrupt("a bucket without a whole header", page);
  return Number(new DataView(value.buffer, value.byteOffset, 8).getBigUint64(0, true));
}

/** Notes, for every page position, whether a sound plain leaf begins there, and how long its run is. */
function* surveyPages({ file, meta }: ReachableOptions): Steps<{ seen: Uint8Array; overflow: Uint32Array }> {
  const { pageSize, highWater } = meta;
  const seen = new Uint8Array(highWater);
  const overflow = new Uint32Array(highWater);
  const count = Math.max(Math.floor(pieceBytes / pageSize), 1);
  const bytes = new Uint8Array(count * pageSize);
  const words = new Uint32Array(bytes.buffer);
  for (let first = 0; first < highWater; first += count) {
    const read = Math.floor(file.readSync(bytes, first * pageSize) / pageSize);
    const pages = Math.min(read, highWater - first);
    for (let index = 0; index < pages; index++) {
      const id = first + index;
      const word = (index * pageSize) >>> 2;
      if (words[word] !== id >>> 0) continue;
      overflow[id] = words[word + 3];
      const run = words[word + 3] + 1;
      // A run that goes beyond this piece is looked at in the walk.
      if (index + run > pages || (words[word + 2] & 0xffff) !== PageFlag.leaf) continue;
      if (pageFault(bytes, words, index * pageSize, run * pageSize) !== undefined) continue;
      if (!hasBuckets(words, word)) seen[id] = Seen.leaf;
    }
    yield;
  }
  return { seen, overflow };
}

function hasBuckets(words: Uint32Array, word: number): boolean {
  const count = words[word + 2] >>> 16;
  for (let index = 0; index < count; index++) {
    if ((words[word + pageHeaderSize / 4 + index * 4] & bucketElement) !== 0) return true;
  }
  return false;
}
