/**
 * Certificate files as what OpenSSL needs, kept current: before each handshake the files are looked at, and read again
 * when one has changed. Looking costs some microseconds where the handshake costs a millisecond. Files that cannot be used
 * (half written, say) leave what was read before in use, and are tried again at the next handshake.
 */
import { constants, X509Certificate } from "node:crypto";
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

/** Keys that were warned of, each once: several listeners share a key. */
const openKeys = new Set<string>();

const certificateBlocks = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

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
    if (keyFile === undefined || openKeys.has(keyFile) || (statSync(keyFile).mode & 0o004) === 0) return;
    openKeys.add(keyFile);
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
  const cert = certFile === undefined ? undefined : pem(readFile(certFile), "certificate");
  if (cert !== undefined) parse(cert);
  const pair = cert === undefined || keyFile === undefined ? {} : { cert, key: pem(readFile(keyFile), "key") };
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
    const { message, code } = cause as NodeJS.ErrnoException;
    if (code === "ERR_OSSL_BAD_DECRYPT") {
      throw unusable(
        "tls: failed to parse private key: it is encrypted, and there is nobody to ask for the password",
        cause,
      );
    }
    if (message.includes("key values mismatch")) throw unusable("tls: private key does not match public key", cause);
    if (message.includes("DECODER routines")) throw unusable("tls: failed to parse private key", cause);
    throw unusable(message, cause);
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

/** The bytes, if there is a certificate in them, or a key; Go's words if not. */
function pem(bytes: Buffer, what: "certificate" | "key"): Buffer {
  const types = [...bytes.toString("latin1").matchAll(/-----BEGIN ([^-]+)-----/g)].map((match) => match[1]);
  const isWanted = (type: string): boolean => (what === "key" ? type.endsWith("PRIVATE KEY") : type === "CERTIFICATE");
  if (types.some(isWanted)) return bytes;
  if (types.length === 0) throw unusable(`tls: failed to find any PEM data in ${what} input`);
  if (types.length === 1 && what === "certificate" && types[0].endsWith("PRIVATE KEY")) {
    const found = "failed to find certificate PEM data in certificate input, but did find a private key";
    throw unusable(`tls: ${found}; PEM inputs may have been switched`);
  }
  if (types.length === 1 && types[0] === "CERTIFICATE") {
    throw unusable("tls: found a certificate rather than a key in the PEM for the private key");
  }
  const wanted = what === "key" ? 'PEM block with type ending in "PRIVATE KEY"' : '"CERTIFICATE" PEM block';
  throw unusable(
    `tls: failed to find ${wanted} in ${what} input after skipping PEM blocks of the following types: [${types.join(" ")}]`,
  );
}

/** @throws {NetworkError} when there is none, or one that cannot be read: OpenSSL would trust the others in silence. */
function certificates(path: string): string[] {
  const found = readFile(path).toString("latin1").match(certificateBlocks);
  if (found === null) throw unusable(`${path}: no certificate in this file`);
  for (const block of found) parse(block);
  return found;
}

function parse(certificate: string | Buffer): X509Certificate {
  try {
    return new X509Certificate(certificate);
  } catch (cause) {
    throw unusable("x509: malformed certificate", cause);
  }
}

/** What the system trusts, as Go finds it; the runtime's own roots where the system has none. */
function systemRoots(): readonly string[] {
  const named = process.env["SSL_CERT_FILE"];
  const path = named ?? systemRootFiles.find((candidate) => existsSync(candidate));
  if (path === undefined) return rootCertificates;
  return readFile(path).toString("latin1").match(certificateBlocks) ?? [];
}

function unusable(message: string, cause?: unknown): NetworkError {
  return new NetworkError("ETLS", message, cause === undefined ? undefined : { cause });
}
