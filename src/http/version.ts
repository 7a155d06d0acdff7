/** `/version`: what this member, the cluster and the store are. */
import type { Page } from "./page.ts";
import { onlyGet, sendJson } from "./responses.ts";

export interface Versions {
  readonly server: string;
  /** Undefined until the members have agreed. */
  readonly cluster: string | undefined;
  /** Undefined when the store does not say. */
  readonly storage: string | undefined;
}

export function versionPage(versions: () => Versions): Page {
  return (request, response) => {
    if (!onlyGet(request, response)) return;
    const { server, cluster, storage } = versions();
    const body = { etcdserver: server, etcdcluster: cluster ?? "not_decided", storage: storage ?? "unknown" };
    sendJson(response, 200, JSON.stringify(body));
  };
}
