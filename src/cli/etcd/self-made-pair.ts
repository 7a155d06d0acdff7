/**
 * `--auto-tls` and `--peer-auto-tls`: a certificate that the member makes for itself, below the data directory. Made once;
 * later starts use what is there, however old it is.
 *
 *     DATA/fixtures/client/{cert,key}.pem
 *     DATA/fixtures/peer/{cert,key}.pem
 *
 * @see etcd client/pkg/transport/listener.go, `SelfCert`
 */
import { join, resolve } from "node:path";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import { selfSigned } from "../../platform/node/self-signed.ts";
import type { Platform } from "../../platform/platform.ts";
import { missingLevels, syncNames } from "../../server/data-dir.ts";

const yearMs = 365 * 24 * 3_600_000;
const permissions = { certificate: 0o644, key: 0o600 } as const;

export interface SelfMadePair {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface SelfMadePairOptions {
  readonly directory: string;
  /** Listen URLs: their hosts are what the certificate is valid for. */
  readonly urls: readonly string[];
  readonly validityYears: number;
}

/** @throws {Error} with etcd's text for a validity of 0; {DiskError}. */
export async function selfMadePair(
  { directory, urls, validityYears }: SelfMadePairOptions,
  { disk, clock }: Pick<Platform, "disk" | "clock">,
  log: Logger,
): Promise<SelfMadePair> {
  if (validityYears === 0) {
    const error = new Error("selfSignedCertValidity is invalid,it should be greater than 0");
    log.warn("cannot generate cert", { error });
    throw error;
  }
  const [certFile, keyFile] = ["cert.pem", "key.pem"].map((name) => resolve(join(directory, name)));
  if (disk.exists(certFile) && disk.exists(keyFile)) return { certFile, keyFile };
  const made = missingLevels(disk, directory);
  disk.makeDirectory(directory);
  const notBeforeMs = clock.now();
  const notAfterMs = notBeforeMs + validityYears * yearMs;
  log.warn("automatically generate certificates", {
    "certificate-validity-bound-not-after": new Date(notAfterMs).toISOString(),
  });
  const { certificate, key } = selfSigned({ hosts: urls.map(hostOf), notBeforeMs, notAfterMs });
  writeWhole(disk, certFile, certificate, permissions.certificate);
  log.info("created cert file", { path: certFile });
  writeWhole(disk, keyFile, key, permissions.key);
  log.info("created key file", { path: keyFile });
  await disk.syncDirectory(directory);
  syncNames(disk, made);
  return { certFile, keyFile };
}

/** A file that is there is complete. */
function writeWhole(disk: Disk, path: string, text: string, mode: number): void {
  const temporary = `${path}.tmp`;
  if (disk.exists(temporary)) disk.remove(temporary);
  const file = disk.open(temporary, "createNew", mode);
  try {
    file.writeSync(Buffer.from(text), 0);
    file.datasyncSync();
  } finally {
    file.close();
  }
  disk.rename(temporary, path);
}

/** The host of `https://host:port`, IPv6 without brackets. */
function hostOf(url: string): string {
  const host = url.replace(/^\w+:\/\//, "").replace(/[/?#].*$/, "");
  return host.slice(0, host.lastIndexOf(":")).replace(/^\[|\]$/g, "");
}
