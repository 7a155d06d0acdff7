/** Peer URLs as people give them: one by one, and as the list of a whole cluster. Source: etcd client/pkg/types. */

/**
 * Sorted, or undefined when one of them is not `scheme://host:port` with a scheme of etcd's and nothing behind the port,
 * or when there is none.
 */
export function parsePeerUrls(texts: readonly string[]): string[] | undefined {
  const urls = texts.map((text) => text.trim().replace(/^[A-Za-z]+(?=:)/, (scheme) => scheme.toLowerCase()));
  return urls.length > 0 && urls.every(isPeerUrl) ? urls.sort() : undefined;
}

function isPeerUrl(text: string): boolean {
  const match = /^([a-z]+):\/\/([^/?#]*)$/.exec(text);
  if (match === null) return false;
  const [, scheme, host] = match;
  if (scheme === "unix" || scheme === "unixs") return true;
  return (scheme === "http" || scheme === "https") && /^(\[[^\]]*\]|[^:]*):[^:]*$/.test(host);
}

/** @returns `value`. @throws {Error} with etcd's text when it is not a URL that members or clients listen at. */
export function checkUrl(value: string): string {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(value)?.[1]?.toLowerCase() ?? "";
  if (!["http", "https", "unix", "unixs"].includes(scheme)) {
    throw new Error(`URL scheme must be http, https, unix, or unixs: ${value}`);
  }
  if (scheme.startsWith("unix")) return value;
  const rest = value.slice(scheme.length + 3);
  const slash = rest.search(/[/?#]/);
  const host = slash < 0 ? rest : rest.slice(0, slash);
  if (!/^(\[[0-9a-fA-F:.%\w]+\]|[^:[\]]*):[^:]*$/.test(host)) {
    throw new Error(`URL address does not have the form "host:port": ${value}`);
  }
  if (slash >= 0 && rest[slash] === "/") throw new Error(`URL must not contain a path: ${value}`);
  const port = host.slice(host.lastIndexOf(":") + 1);
  if (!/^\d*$/.test(port)) throw new Error(`parse ${JSON.stringify(value)}: invalid port ":${port}" after host`);
  return value;
}

/** A member of a cluster that does not exist yet. */
export interface NamedUrls {
  readonly name: string;
  /** Sorted. One that was given twice stands twice: the caller refuses it. */
  readonly peerUrls: readonly string[];
}

/**
 * `name=url,name=url2,other=url`: a name may stand several times, once for each of its URLs.
 *
 * @throws {Error} with etcd's text.
 */
export function parseUrlsMap(text: string): NamedUrls[] {
  const urlsByName = new Map<string, string[]>();
  for (const item of text.split(",")) {
    if (item === "") continue;
    const equals = item.indexOf("=");
    const name = equals < 0 ? item : item.slice(0, equals);
    const url = checkUrl(equals < 0 ? "" : item.slice(equals + 1).trim());
    const known = urlsByName.get(name);
    if (known === undefined) urlsByName.set(name, [url]);
    else known.push(url);
  }
  return [...urlsByName].map(([name, peerUrls]) => ({ name, peerUrls: peerUrls.sort() }));
}

/** The same as one text, sorted. */
export function formatUrlsMap(members: readonly NamedUrls[]): string {
  const pairs = members.flatMap(({ name, peerUrls }) => peerUrls.map((url) => `${name}=${url}`));
  return pairs.sort().join(",");
}
