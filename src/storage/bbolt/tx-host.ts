/** What a transaction needs of its database. An interface of its own, so that the two files do not import each other. */
import type { DiskFile } from "../../platform/disk.ts";
import type { PageSource } from "./cursor.ts";
import type { Meta } from "./format.ts";
import type { Freelist } from "./freelist.ts";
import type { PageCache } from "./page-cache.ts";
import type { Page } from "./page.ts";

export interface TxHost {
  readonly file: DiskFile;
  /** The newest committed state. */
  readonly meta: Meta;
  readonly freelist: Freelist;
  readonly cache: PageCache;
  /** The free list is written with every commit (etcd on Linux does not). */
  readonly storesFreelist: boolean;
  readonly syncs: boolean;
  /** A sound page below `highWater`. @throws {CorruptionError} */
  page(id: number, highWater: number): Page;
  /** @param isTransient - leaves it gives are good only until some more were asked for. */
  readAhead(highWater: number, isTransient: boolean): PageSource;
  /** Pages in the stored free list's run. @throws {CorruptionError} */
  freelistRun(id: number): number;
  growFile(highWater: number): Promise<void>;
  corrupt(what: string, page?: number): never;
  committed(meta: Meta): void;
  rolledBack(): void;
  failed(error: unknown): void;
  readerClosed(txid: number): void;
}
