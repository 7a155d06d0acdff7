/**
 * Applies entries about members and versions. They stand outside the chain of client requests: no alarm holds them up.
 * Members of etcd 3.5 write two of them in the form of the old store's PUT requests. Source: etcd
 * server/etcdserver/apply/apply.go (`applierMembership`) and server/etcdserver/apply_v2.go.
 */
import { InvariantError } from "../../base/assert.ts";
import { asObject, asString, asStrings, parseJson } from "../../membership/json.ts";
import { formatId, parseId } from "../../membership/member.ts";
import type { Membership } from "../../membership/membership.ts";
import {
  compareVersions,
  formatMinor,
  formatVersion,
  isOlderMinor,
  parseVersion,
  serverVersion,
  type Version,
} from "../../membership/version.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Request as OldRequest } from "../../wire/gen/etcdserverpb/etcdserver.ts";
import { StartError } from "../start-error.ts";

const ATTRIBUTES_PATH = /^\/0\/members\/([0-9a-fA-F]{1,16})\/attributes$/;
const VERSION_PATH = "/0/version";

export interface MembershipApplierParts {
  readonly membership: Membership;
  readonly log: Logger;
  /** The cluster version went down: a snapshot on disk must come soon, so that the older version need not read newer entries. */
  readonly onVersionLowered: () => void;
}

export class MembershipApplier {
  readonly #membership: Membership;
  readonly #log: Logger;
  readonly #onVersionLowered: () => void;

  constructor(parts: MembershipApplierParts) {
    this.#membership = parts.membership;
    this.#log = parts.log;
    this.#onVersionLowered = parts.onVersionLowered;
  }

  /** @throws {StartError} when the cluster has become newer than this program. */
  setClusterVersion(text: string): void {
    const version = parseVersion(text);
    if (version === undefined) throw new InvariantError("an entry in the log sets a cluster version that is none");
    refuseNewerCluster(version);
    const before = this.#membership.clusterVersion;
    this.#membership.setClusterVersion(version);
    if (before === undefined) {
      this.#log.info("set initial cluster version", { "cluster-version": formatMinor(version) });
    } else {
      this.#log.info("updated cluster version", { from: formatMinor(before), to: formatMinor(version) });
    }
    if (before !== undefined && compareVersions(version, before) < 0) {
      this.#log.info("Cluster version downgrade detected, forcing snapshot", {
        "prev-cluster-version": formatVersion(before),
        "new-cluster-version": formatVersion(version),
      });
      this.#onVersionLowered();
    }
  }

  setAttributes(id: bigint, attributes: { readonly name: string; readonly clientUrls: readonly string[] }): void {
    if (this.#membership.setAttributes(id, attributes)) return;
    if (!this.#membership.isRemoved(id)) throw new InvariantError("an entry in the log describes an unknown member");
    this.#log.warn("skipped attributes update of removed member", { "updated-peer-id": formatId(id) });
  }

  setDowngrade(enabled: boolean, target: string): void {
    this.#membership.setDowngrade({ enabled, targetVersion: enabled ? target : "" });
  }

  /** The two requests that etcd 3.5 still writes in the old form; anything else was refused by every version since 3.6. */
  applyOld(request: OldRequest): void {
    const attributes = ATTRIBUTES_PATH.exec(request.Path);
    if (request.Method !== "PUT" || (attributes === null && request.Path !== VERSION_PATH)) {
      throw new InvariantError("an entry in the log is a request of the old (v2) store");
    }
    if (attributes === null) return this.setClusterVersion(request.Val);
    const fields = asObject(parseJson(request.Val));
    const clientUrls = asStrings(fields["clientURLs"]);
    this.setAttributes(parseId(attributes[1]), { name: asString(fields["name"]), clientUrls });
  }
}

/** @throws {StartError} when this program is older than what the cluster has agreed on. */
export function refuseNewerCluster(clusterVersion: Version): void {
  if (!isOlderMinor(serverVersion, clusterVersion)) return;
  throw new StartError(
    "invalid downgrade; server version is lower than determined cluster version: the server is " +
      `${formatVersion(serverVersion)}, the cluster ${formatVersion(clusterVersion)}; start the version that wrote the data`,
  );
}
