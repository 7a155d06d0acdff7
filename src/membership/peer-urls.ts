/** Peer URLs as clients give them. Source: etcd client/pkg/types/urls.go. */

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
