/**
 * Certificate files as what OpenSSL needs, kept current: before each handshake the files are looked at, and read again
 * when one has changed. Looking costs some microseconds where the handshake costs a millisecond. Files that cannot be used
 * (half written, say) leave what was read before in use, and are tried again at the next handshake.
 */
import { constants } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { createSecureContext, rootCertificates, type SecureContext, type SecureContextOptions } from "node:tls";
import { NetworkError } from "../network.ts";
import type { TlsMaterial } from "../tls.ts";
import { revokedSerials } from "./crl.ts";

/** Where Go looks for the system's roots on Linux, in this order. */
const systemRootFiles = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/ssl/ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/cert.pem",
];

/** Always on in TLS 1.3. */
const suitesOf13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

/** Something made of files, and made again when they change. */
class FromFiles<Value> {
  readonly #paths: readonly string[];
  readonly #make: () => Value;
  #stamp: string;
  #value: Value;

  /** @throws {NetworkError} `ETLS` when the files cannot be used now. */
  constructor(paths: readonly string[], make: () => Value) {
    this.#paths = paths;
    this.#make = make;
    this.#stamp = stampOf(paths);
    this.#value = make();
  }

  /** @throws {NetworkError} when the files changed and cannot be used; `latest` is still there. */
  current(): Value {
    const stamp = stampOf(this.#paths); // before reading: what changes meanwhile is seen the next time
    if (stamp !== this.#stamp) {
      this.#value = this.#make();
      this.#stamp = stamp;
    }
    return this.#value;
  }

  get latest(): Value {
    return this.#value;
  }
}

/** Changes with the content of the files. */
function stampOf(paths: readonly string[]): string {
  return paths
    .map((path) => {
      const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
      return stat === undefined ? "none" : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
    })
    .join(",");
}

/** Certificate, key and trusted roots of one end. */
export class TlsContextSource {
  readonly #material: TlsMaterial;
  readonly #files: FromFiles<{ context: SecureContext; options: SecureContextOptions }>;
  #warned = "";

  /** @param needsRoots - certificates of the other end are verified. @throws {NetworkError} `ETLS`, with Go's text. */
  constructor(material: TlsMaterial, needsRoots: boolean) {
    this.#material = material;
    const paths = [material.certFile, material.keyFile, material.caFile].filter((path) => path !== undefined);
    this.#files = new FromFiles(paths, () => {
      const options = readOptions(material, needsRoots);
      this.#warnOfOpenKey();
      return { context: secureContext(options), options };
    });
  }

  /** For a connection of ours. */
  context(): SecureContext {
    return this.#current().context;
  }

  /** For `Server.setSecureContext`; the same object as long as nothing changed. */
  options(): SecureContextOptions {
    return this.#current().options;
  }

  #current(): { context: SecureContext; options: SecureContextOptions } {
    try {
      const current = this.#files.current();
      this.#warned = "";
      return current;
    } catch (error) {
      if (!(error instanceof NetworkError)) throw error;
      const { certFile, keyFile, log } = this.#material;
      if (this.#warned !== error.message) {
        const fields = { "cert-file": certFile, "key-file": keyFile, error };
        log.warn("changed certificate files cannot be used; those read before stay in use", fields);
      }
      this.#warned = error.message;
      return this.#files.latest;
    }
  }

  #warnOfOpenKey(): void {
    const { keyFile, log } = this.#material;
    if (keyFile === undefined || (statSync(keyFile).mode & 0o004) === 0) return;
    log.warn("the private key can be read by every user of this machine", { "key-file": keyFile });
  }
}

/** The revocation list; when it cannot be read, no certificate is good. */
export class RevocationList {
  readonly #files: FromFiles<ReadonlySet<string>>;

  /** @throws {NetworkError} `ETLS`. */
  constructor(path: string) {
    this.#files = new FromFiles([path], () => readRevoked(path));
  }

  /** @param serial - as `normalSerial` gives it. @throws {NetworkError} when the list cannot be used. */
  has(serial: string): boolean {
    return this.#files.current().has(serial);
  }
}

function readRevoked(path: string): ReadonlySet<string> {
  const bytes = readFile(path);
  try {
    return revokedSerials(bytes);
  } catch (cause) {
    throw unusable(`${path}: ${(cause as Error).message}`, cause);
  }
}

function readOptions(material: TlsMaterial, needsRoots: boolean): SecureContextOptions {
  const { certFile, keyFile, caFile, minVersion, maxVersion, ciphers } = material;
  const pair =
    certFile === undefined || keyFile === undefined
      ? {}
      : { cert: pem(readFile(certFile), "certificate"), key: pem(readFile(keyFile), "key") };
  const roots = caFile === undefined ? (needsRoots ? { ca: [...systemRoots()] } : {}) : { ca: certificates(caFile) };
  return {
    ...pair,
    ...roots,
    minVersion: minVersion ?? "TLSv1.2",
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(ciphers === undefined ? {} : { ciphers: `${ciphers}:${suitesOf13}` }),
    // A resumed session would carry an old verdict past a new CA or revocation list.
    secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

function secureContext(options: SecureContextOptions): SecureContext {
  try {
    return createSecureContext(options);
  } catch (cause) {
    const { message } = cause as Error;
    throw unusable(
      message.includes("key values mismatch") ? "tls: private key does not match public key" : message,
      cause,
    );
  }
}

function readFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? "";
    const reason = { ENOENT: "no such file or directory", EACCES: "permission denied", EISDIR: "is a directory" }[code];
    throw unusable(`open ${path}: ${reason ?? (cause as Error).message}`, cause);
  }
}

function pem(bytes: Buffer, what: "certificate" | "key"): Buffer {
  if (!bytes.includes("-----BEGIN ")) throw unusable(`tls: failed to find any PEM data in ${what} input`);
  return bytes;
}

function certificates(path: string): string[] {
  const blocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;
  const found = readFile(path).toString("latin1").match(blocks);
  if (found === null) throw unusable(`${path}: no certificate in this file`);
  return found;
}

/** What the system trusts, as Go finds it; the runtime's own roots where the system has none. */
function systemRoots(): readonly string[] {
  const named = process.env["SSL_CERT_FILE"];
  const path = named ?? systemRootFiles.find((candidate) => existsSync(candidate));
  return path === undefined ? rootCertificates : certificates(path);
}

function unusable(message: string, cause?: unknown): NetworkError {
  return new NetworkError("ETLS", message, cause === undefined ? undefined : { cause });
}
