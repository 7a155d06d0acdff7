/**
 * TLS on a listener or a connection: which files, whom to trust, what to check. The files are named, not read, here:
 * the network reads them, and reads them again when they change on disk.
 */
import type { Logger } from "./logger.ts";
import type { Address } from "./network.ts";

export type TlsVersion = "TLSv1.2" | "TLSv1.3";

/** What both ends have; a path is undefined when there is none. */
export interface TlsMaterial {
  /** PEM: the certificate, then those of its issuers. Comes with `keyFile`. */
  readonly certFile?: string | undefined;
  readonly keyFile?: string | undefined;
  /** PEM: whom we trust. Default: the roots of the system. */
  readonly caFile?: string | undefined;
  readonly minVersion?: TlsVersion | undefined;
  readonly maxVersion?: TlsVersion | undefined;
  /** OpenSSL names, joined by colons, for TLS 1.2; TLS 1.3 has no choice of them. Default: those of the runtime. */
  readonly ciphers?: string | undefined;
  /** Common names of which the other end's certificate must bear one; empty = any. */
  readonly allowedNames?: readonly string[] | undefined;
  /** Host names or IPs of which the other end's certificate must be valid for one; empty = any. */
  readonly allowedHostnames?: readonly string[] | undefined;
  /** Told of files that cannot be used any more (the former ones stay in use) and of a key that everybody can read. */
  readonly log: Logger;
}

export interface ServerTls extends TlsMaterial {
  readonly certFile: string;
  readonly keyFile: string;
  /** Clients without a certificate that `caFile` verifies are refused. */
  readonly requiresClientCertificate: boolean;
  /** The certificate's IPs or host names, if it has any, must fit the address that the client comes from. */
  readonly checksClientAddress?: boolean | undefined;
  /** Revoked certificates, DER or PEM; read at every handshake in which it changed. */
  readonly crlFile?: string | undefined;
  /** Clients that offer h2 get it; all others HTTP/1.1. */
  readonly offersHttp2: boolean;
  /** A handshake failed, or its certificate was not good enough. */
  rejected(remote: Address, error: Error): void;
}

export interface ClientTls extends TlsMaterial {
  /** Host name or IP for which the server's certificate must be valid. */
  readonly serverName: string;
  /** False: whoever answers is taken for the server. */
  readonly verifiesServer: boolean;
  /** Protocols offered, best first. */
  readonly alpn: readonly string[];
}
