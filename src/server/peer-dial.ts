/** How members are reached: plain at http URLs, under TLS at https URLs. */
import type { Dial } from "../peer/types.ts";
import type { Platform } from "../platform/platform.ts";
import type { ClientTls } from "../platform/tls.ts";
import type { MemberConfig } from "./config.ts";

/** @throws nothing itself; the dial rejects when an https URL is dialled and no TLS is set up. */
export function peerDial(
  { peerTls, peerServerName, peerLocalAddress: localAddress }: MemberConfig,
  { network }: Platform,
): Dial {
  // One object per name: the network keeps the files of each, read.
  const byName = new Map<string, ClientTls>();
  return (url, address, timeoutMs) => {
    const isSecure = url.protocol === "https:" || url.protocol === "unixs:";
    if (!isSecure) return network.connect(address, { timeoutMs, localAddress });
    if (peerTls === undefined) return Promise.reject(new Error(`no TLS is set up to reach ${url.href}`));
    const serverName = peerServerName ?? url.hostname.replace(/^\[|\]$/g, "");
    let tls = byName.get(serverName);
    if (tls === undefined) byName.set(serverName, (tls = { ...peerTls, serverName }));
    return network.connect(address, { timeoutMs, tls, localAddress });
  };
}
