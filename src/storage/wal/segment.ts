/** Names of WAL segments: `<sequence>-<first index>.wal`, both 16 hexadecimal digits. */
import { CorruptionError } from "../../base/corruption.ts";
import { type Disk, DiskError } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";

/**
 * A segment is full when it is at least this long (etcd's constant, 64 million, not 64 MiB). The record that crosses
 * the line still goes in.
 */
export const SEGMENT_SIZE = 64_000_000;

export interface SegmentName {
  readonly name: string;
  /** Counts from 0 without gaps. */
  readonly sequence: number;
  /** Index of the first entry that can be in it. */
  readonly firstIndex: number;
}

const NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.wal$/;

export function segmentName(sequence: number, firstIndex: number): SegmentName {
  const hex = (value: number): string => value.toString(16).padStart(16, "0");
  return { name: `${hex(sequence)}-${hex(firstIndex)}.wal`, sequence, firstIndex };
}

export function parseSegmentName(name: string): SegmentName | undefined {
  const match = NAME.exec(name);
  if (match === null) return undefined;
  return { name, sequence: Number.parseInt(match[1], 16), firstIndex: Number.parseInt(match[2], 16) };
}

/** Whether a log is here: etcd's test for "this member has been started before". */
export function walExists(disk: Disk, directory: string): boolean {
  return disk.exists(directory) && disk.list(directory).some((name) => name.endsWith(".wal"));
}

/**
 * The segments in a directory, in order. Other names are passed over, with a warning unless they are temporary.
 *
 * @throws {DiskError} `ENOENT` when there is none.
 */
export function listSegments(disk: Disk, directory: string, log?: Logger): SegmentName[] {
  const segments: SegmentName[] = [];
  for (const name of disk.list(directory)) {
    const segment = parseSegmentName(name);
    if (segment !== undefined) segments.push(segment);
    else if (!name.endsWith(".tmp")) log?.warn("ignored file in WAL directory", { path: name });
  }
  if (segments.length === 0) throw new DiskError("ENOENT", directory, `${directory}: wal: file not found`);
  return segments;
}

/**
 * The segments needed to read from the entry behind `index` on: the last one that begins at or before it, and all
 * behind.
 *
 * @throws {CorruptionError} when none begins early enough, or one in between is missing.
 */
export function selectSegments(directory: string, segments: readonly SegmentName[], index: number): SegmentName[] {
  const start = segments.findLastIndex((segment) => segment.firstIndex <= index);
  if (start === -1) {
    throw new CorruptionError(
      { path: directory },
      `wal: file not found which matches the snapshot index '${index}'`,
      `the first segment left is ${segments[0].name}; restore this member from a backup or replace it`,
    );
  }
  const selected = segments.slice(start);
  checkSequence(directory, selected);
  return selected;
}

/** @throws {CorruptionError} when a segment is missing in between. */
export function checkSequence(directory: string, segments: readonly SegmentName[]): void {
  for (let index = 1; index < segments.length; index++) {
    if (segments[index].sequence === segments[index - 1].sequence + 1) continue;
    throw new CorruptionError(
      { path: directory },
      `wal: file sequence numbers do not increase continuously: ${segments[index - 1].name} is followed by ${segments[index].name}`,
      "put the missing segment back, or replace this member",
    );
  }
}
