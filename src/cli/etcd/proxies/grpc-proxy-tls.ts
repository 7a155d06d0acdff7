/** TLS of `etcd grpc-proxy`, towards members (`--cert`, ...) and towards clients (`--cert-file`, ...). */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClientSecurity } from "../../../client/channel.ts";
import type { Platform } from "../../../platform/platform.ts";
import type { ClientTls, ServerTls } from "../../../platform/tls.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { selfMadePair } from "../self-made-pair.ts";
import { rejectionLog, requirePair, tlsPolicy } from "../tls-settings.ts";

const versions = ["", "TLS1.2", "TLS1.3"];

/** The rules for versions and suites that need no files. @throws {Error} with etcd's text. */
export function checkTlsFlags(given: FlagSet): void {
  if (given.bool("auto-tls") && given.integer("self-signed-cert-validity") === 0n) {
    throw new Error("selfSignedCertValidity is invalid,it should be greater than 0");
  }
  const [lowest, highest] = [given.text("tls-min-version"), given.text("tls-max-version")];
  for (const [name, version] of [
    ["tls-min-version", lowest],
    ["tls-max-version", highest],
  ]) {
    if (versions.includes(version)) continue;
    const text = `unexpected TLS version ${JSON.stringify(version)} (must be one of: TLS1.2, TLS1.3)`;
    throw new Error(`${name} is invalid: ${text}`);
  }
  if (highest !== "" && lowest > highest) {
    throw new Error(`min version (${lowest}) is greater than max version (${highest})`);
  }
  if (lowest === "TLS1.3" && given.list("listen-cipher-suites").length > 0) {
    throw new Error("cipher suites cannot be configured when only TLS1.3 is enabled");
  }
}

/** How the proxy serves; undefined: in plain text. @throws {Error} with etcd's text. By rejection. */
export async function listenTls(given: FlagSet, platform: Platform): Promise<ServerTls | undefined> {
  const { log } = platform;
  let [certFile, keyFile] = [given.text("cert-file"), given.text("key-file")];
  const caFile = given.text("trusted-ca-file");
  if (certFile === "" && keyFile === "" && caFile === "") {
    if (!given.bool("auto-tls")) return undefined;
    const directory = join(given.text("data-dir"), "fixtures", "proxy");
    const validityYears = Number(given.integer("self-signed-cert-validity"));
    const urls = [`https://${given.text("listen-addr")}`];
    ({ certFile, keyFile } = await selfMadePair({ directory, urls, validityYears }, platform, log));
  }
  const crlFile = given.text("client-crl-file");
  const policy = tlsPolicy(
    {
      "cipher-suites": given.list("listen-cipher-suites"),
      "tls-min-version": given.text("tls-min-version"),
      "tls-max-version": given.text("tls-max-version"),
    },
    log,
  );
  const files = `cert = ${certFile}, key = ${keyFile}, client-cert=, client-key=, trusted-ca = ${caFile}`;
  log.info("gRPC proxy server TLS", { "tls-info": `${files}, client-cert-auth = false, crl-file = ` });
  return {
    ...policy,
    certFile,
    keyFile,
    caFile: orNone(caFile),
    requiresClientCertificate: caFile !== "",
    crlFile: orNone(crlFile),
    offersHttp2: true,
    rejected: rejectionLog(log, "rejected connection"),
  };
}

/** How the proxy calls itself through its own door, to see whether clients can. */
export function ownSecurity({ certFile, keyFile, caFile }: ServerTls, isSelfMade: boolean): ClientSecurity {
  return { certFile, keyFile, caFile, verifiesServer: !isSelfMade };
}

/**
 * How the proxy reaches members; undefined when no flag asks for TLS. A certificate with a common name is refused: under
 * `--client-cert-auth` all clients of the proxy would act as the user of that name.
 *
 * @throws {Error} with etcd's text.
 */
export function memberSecurity(given: FlagSet, { log }: Platform): ClientSecurity | undefined {
  const [certFile, keyFile, caFile] = [given.text("cert"), given.text("key"), given.text("cacert")];
  const verifiesServer = !given.bool("insecure-skip-tls-verify");
  if (certFile === "" && keyFile === "" && caFile === "" && verifiesServer) return undefined;
  if (certFile !== "" || keyFile !== "") {
    requirePair(certFile, keyFile);
    const name = commonNameOf(certFile);
    if (name !== "") throw new Error(`cert has non empty Common Name (${name}): ${certFile}`);
  }
  if (!verifiesServer) {
    log.warn(
      "--insecure-skip-tls-verify was given, this grpc proxy process skips authentication of etcd server TLS certificates. This option should be enabled only for testing purposes.",
    );
  }
  log.info("gRPC proxy client TLS", { "tls-info": `cert = ${certFile}, key = ${keyFile}, trusted-ca = ${caFile}` });
  return { certFile: orNone(certFile), keyFile: orNone(keyFile), caFile: orNone(caFile), verifiesServer };
}

/** The same for pages of members. */
export function pageTls(security: ClientSecurity, { log }: Platform): Omit<ClientTls, "serverName"> {
  return { ...security, verifiesServer: security.verifiesServer ?? true, alpn: ["http/1.1"], log };
}

/** @throws {Error} `open FILE: no such file or directory`. */
function commonNameOf(file: string): string {
  let text: Buffer;
  try {
    text = readFileSync(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "no such file or directory" : code === "EACCES" ? "permission denied" : code;
    throw new Error(`open ${file}: ${reason}`, { cause });
  }
  return /^CN=(.*)$/m.exec(new X509Certificate(text).subject ?? "")?.[1] ?? "";
}

function orNone(path: string): string | undefined {
  return path === "" ? undefined : path;
}
