/** What an endpoint of `--endpoints` means: where to connect and whether the connection must be encrypted. */
import type { Address } from "../platform/network.ts";

export interface Endpoint {
  /** As the user wrote it. */
  readonly text: string;
  readonly address: Address;
  /** `:authority` of requests. */
  readonly authority: string;
  /** What the server's certificate must be for. */
  readonly serverName: string;
  /** `required` for `https` and `unixs`, `never` for `http`; others leave it to {@link usesTls}. */
  readonly tls: "required" | "never" | "optional";
}

/** A port of no known name: connecting fails, with the text that the system gives. */
const noPort = 0;

/** Never throws: an address that makes no sense fails when it is dialled, as with Go's client. */
export function parseEndpoint(text: string): Endpoint {
  const unix = /^(unixs?):(\/\/)?(.*)$/.exec(text);
  if (unix !== null) {
    const path = unix[3];
    const authority = path.slice(path.lastIndexOf("/") + 1);
    const serverName = authority.replace(/:[^:]*$/, "");
    return { text, address: { path }, authority, serverName, tls: unix[1] === "unixs" ? "required" : "optional" };
  }
  const url = /^(https?):\/\/([^/?#]*)/.exec(text);
  const authority = url?.[2] ?? text;
  const tls = url === null ? "optional" : url[1] === "https" ? "required" : "never";
  const address = parseHostPort(authority);
  const serverName = "host" in address ? address.host : "";
  return { text, address, authority, serverName, tls };
}

/**
 * Whether the connection to an endpoint is under TLS. Where the endpoint does not say, a TLS option decides, or else the
 * first endpoint: `https://a:2379,b:2379` must not send the second one a password in plain text.
 */
export function usesTls(endpoint: Endpoint, first: Endpoint, hasOption: boolean): boolean {
  if (endpoint.tls !== "optional") return endpoint.tls === "required";
  return hasOption || first.tls === "required";
}

/** `host:port`, `[v6]:port`; without a port gRPC takes 443. */
function parseHostPort(text: string): Address {
  const match = /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text);
  if (match === null) return { host: text.replace(/^\[|\]$/g, ""), port: 443 };
  // A dot at the end of a name says that it is complete; a resolver of hosts does not want it.
  const host = match[1] ?? match[2].replace(/(?<=.)\.$/, "");
  const port = /^\d{1,5}$/.test(match[3]) ? Number(match[3]) : noPort;
  return { host: host === "" ? "localhost" : host, port: port > 0xffff ? noPort : port };
}
