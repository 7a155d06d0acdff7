/** Go etcd's programs of a release, to run beside ours; a suite that needs them skips with a message when they are not there. */
import { peer } from "../support/process.ts";

export type Release = "3.5" | "3.6";

export const releases: readonly Release[] = ["3.5", "3.6"];

export interface GoEtcd {
  readonly release: Release;
  readonly etcd: string;
  readonly etcdctl: string;
  readonly etcdutl: string;
}

/** Undefined when one of its programs is missing. */
export function goEtcd(release: Release): GoEtcd | undefined {
  const suffix = release.replace(".", "");
  const [etcd, etcdctl, etcdutl] = ["etcd", "etcdctl", "etcdutl"].map((name) => peer(name + suffix));
  if (etcd === undefined || etcdctl === undefined || etcdutl === undefined) return undefined;
  return { release, etcd, etcdctl, etcdutl };
}

/** The programs of a release. @throws inside a suite that should have been skipped. */
export function theGoEtcd(release: Release): GoEtcd {
  const found = goEtcd(release);
  if (found === undefined) throw new Error(`Go etcd ${release} is not here: run node scripts/fetch-peers.mjs`);
  return found;
}

/** Title of a suite, with the reason when it is skipped. */
export function titleFor(release: Release, title: string): string {
  const missing = goEtcd(release) === undefined ? " (skipped: node scripts/fetch-peers.mjs brings Go etcd)" : "";
  return `Go etcd ${release}: ${title}${missing}`;
}
