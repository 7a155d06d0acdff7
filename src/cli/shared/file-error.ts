/** Failures of files, in the words in which Go's tools print them: `open backup.db: no such file or directory`. */
import { DiskError } from "../../platform/disk.ts";

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EDQUOT: "disk quota exceeded",
  EEXIST: "file exists",
  EFBIG: "file too large",
  EIO: "input/output error",
  EISDIR: "is a directory",
  EMFILE: "too many open files",
  ENAMETOOLONG: "file name too long",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on device",
  ENOTDIR: "not a directory",
  EPERM: "operation not permitted",
  EROFS: "read-only file system",
  EXDEV: "invalid cross-device link",
};

/** Runs `work`, turning the system's refusals into an error that says what was done to which file. */
export function describingFailure<Value>(operation: string, path: string, work: () => Value): Value {
  try {
    return work();
  } catch (error) {
    throw describeFailure(operation, path, error);
  }
}

/** The error to show for `error`; itself when it is not a disk's. */
export function describeFailure(operation: string, path: string, error: unknown): unknown {
  if (!(error instanceof DiskError) || reasons[error.code] === undefined) return error;
  return new Error(`${operation} ${path}: ${reasons[error.code]}`, { cause: error });
}
