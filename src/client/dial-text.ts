/** What Go says of a connection that could not be made. */
import { NetworkError, type Address } from "../platform/network.ts";

/** System error → Go's words for it. */
const systemTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connect: connection refused",
  ENETUNREACH: "connect: network is unreachable",
  EHOSTUNREACH: "connect: no route to host",
  ENOENT: "connect: no such file or directory",
  EACCES: "connect: permission denied",
  ETIMEDOUT: "i/o timeout",
};

/** `dial tcp 127.0.0.1:2379: connect: connection refused`. */
export function dialText(address: Address, error: unknown): string {
  const target = "path" in address ? `dial unix ${address.path}` : `dial tcp ${address.host}:${address.port}`;
  if (error instanceof NetworkError) {
    if (error.code === "ENOTFOUND" && "host" in address) return `dial tcp: lookup ${address.host}: no such host`;
    return `${target}: ${systemTexts[error.code] ?? error.message}`;
  }
  return `${target}: ${error instanceof Error ? error.message : String(error)}`;
}
