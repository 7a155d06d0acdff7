/** `host:port` texts of the proxies' flags, and how their ports are opened. */
import { NetworkError, type Address } from "../../../platform/network.ts";
import { listenErrorText } from "../listeners.ts";

export interface HostPort {
  /** Without brackets. */
  readonly host: string;
  readonly port: string;
}

/** Undefined when the text is none, as for Go's `SplitHostPort`. */
export function splitHostPort(text: string): HostPort | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):([^:]*)$/.exec(text);
  return match === null ? undefined : { host: match[1] ?? match[2], port: match[3] };
}

/** What to listen at. @throws {NetworkError} with Go's text for a port that is none. */
export function listenAddress(text: string): Address {
  const parts = splitHostPort(text);
  if (parts === undefined) throw new NetworkError("EINVAL", `listen tcp: address ${text}: missing port in address`);
  const { host, port } = parts;
  if (!/^\d+$/.test(port) && port !== "")
    throw new NetworkError("EINVAL", `listen tcp: lookup tcp/${port}: unknown port`);
  if (Number(port) > 0xffff) throw new NetworkError("EINVAL", `listen tcp: address ${port}: invalid port`);
  return { host: host === "localhost" ? "127.0.0.1" : host, port: Number(port) };
}

/** Go's text for a port that cannot be had. */
export function listenFailure(address: Address, error: unknown): string {
  return error instanceof NetworkError && error.code === "EINVAL" ? error.message : listenErrorText(address, error);
}
