/** Versions as far as etcd compares them: `major.minor.patch`, anything behind a dash or plus ignored. */

export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** The etcd release whose behaviour and formats this program has; what it reports about itself. */
export const serverVersion: Version = { major: 3, minor: 6, patch: 14 };
/** The cluster version that is decided on while nobody knows better. */
export const minClusterVersion: Version = { major: 3, minor: 0, patch: 0 };

/** Accepts `3.6.14`, and `3.6` as `3.6.0`. Undefined for anything else. */
export function parseVersion(text: string): Version | undefined {
  const match = /^(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6})(?:[-+].*)?)?$/.exec(text);
  if (match === null) return undefined;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
}

export function formatVersion(version: Version): string {
  return `${version.major}.${version.minor}.${version.patch}`;
}

/** `3.6`: how logs and metrics name a cluster version. */
export function formatMinor(version: Version): string {
  return `${version.major}.${version.minor}`;
}

/** Negative, zero or positive. */
export function compareVersions(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** `version` without its patch level: the form that cluster and storage versions have. */
export function toMinor(version: Version): Version {
  return { major: version.major, minor: version.minor, patch: 0 };
}

/** True when `version` is older than `other` by at least one minor. */
export function isOlderMinor(version: Version, other: Version): boolean {
  return compareVersions(toMinor(version), toMinor(other)) < 0;
}
