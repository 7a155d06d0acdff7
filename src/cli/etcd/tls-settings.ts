/**
 * The TLS flags as what listeners and dialers need. Texts of errors are etcd's; source: server/embed/etcd.go,
 * client/pkg/transport/listener.go.
 */
import { join } from "node:path";
import type { Logger } from "../../platform/logger.ts";
import type { Address } from "../../platform/network.ts";
import type { Platform } from "../../platform/platform.ts";
import type { ClientTls, ServerTls, TlsMaterial, TlsVersion } from "../../platform/tls.ts";
import type { FlagValues } from "./flags.ts";
import { selfMadePair } from "./self-made-pair.ts";

/** Go's cipher suites below TLS 1.3 → OpenSSL's; those of TLS 1.3 are always on, as in Go. */
const cipherNames: Readonly<Record<string, string>> = {
  TLS_AES_128_GCM_SHA256: "",
  TLS_AES_256_GCM_SHA384: "",
  TLS_CHACHA20_POLY1305_SHA256: "",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA: "ECDHE-ECDSA-AES128-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA: "ECDHE-RSA-AES128-SHA",
  TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA: "ECDHE-RSA-AES256-SHA",
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: "ECDHE-ECDSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: "ECDHE-RSA-AES128-GCM-SHA256",
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: "ECDHE-RSA-AES256-GCM-SHA384",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: "ECDHE-RSA-CHACHA20-POLY1305",
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: "ECDHE-ECDSA-CHACHA20-POLY1305",
  TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256",
  TLS_RSA_WITH_AES_256_GCM_SHA384: "AES256-GCM-SHA384",
  TLS_RSA_WITH_AES_128_CBC_SHA: "AES128-SHA",
  TLS_RSA_WITH_AES_256_CBC_SHA: "AES256-SHA",
  TLS_RSA_WITH_AES_128_CBC_SHA256: "AES128-SHA256",
  TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256: "ECDHE-ECDSA-AES128-SHA256",
  TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256: "ECDHE-RSA-AES128-SHA256",
};

/** Suites that Go still has, and etcd therefore takes. */
const brokenCiphers = /^TLS_(?:RSA|ECDHE_RSA|ECDHE_ECDSA)_WITH_(?:RC4_128_SHA|3DES_EDE_CBC_SHA)$/;

export function isSecureUrl(url: string): boolean {
  return url.startsWith("https:") || url.startsWith("unixs:");
}

/** TLS of a member, on all its sides. */
export interface MemberTls {
  /** For clients and metrics. */
  readonly client: ServerTls | undefined;
  readonly peer: ServerTls | undefined;
  /** How this member dials others at https URLs, but for the server's name. */
  readonly peerDial: Omit<ClientTls, "serverName">;
}

/**
 * Makes certificates where `--auto-tls` and `--peer-auto-tls` ask for them, and looks at the files that listeners do not
 * use.
 *
 * @throws {Error} with etcd's text, by rejection.
 */
export async function memberTls(values: FlagValues, platform: Platform, log: Logger): Promise<MemberTls> {
  const peerValues = await withPeerPair(values, platform, log);
  const peer = peerSideTls(peerValues, log);
  if (peer !== undefined) announce("starting with peer TLS", peer, values["peer-client-cert-file"], values, log);
  const peerDial = peerDialTls(peerValues, peerValues === values, log);
  await platform.network.checkFiles(peerDial);
  const client = clientSideTls(await withClientPair(values, platform, log), log);
  if (client !== undefined) {
    announce("starting with client TLS", client, values["client-cert-file"], values, log);
    // Go's gateway shows this pair to its own server; ours calls it directly. That it can be read is checked all the same.
    const [certFile, keyFile] = [orNone(values["client-cert-file"]), orNone(values["client-key-file"])];
    if (certFile !== undefined) await platform.network.checkFiles({ certFile, keyFile, log });
  }
  return { client, peer, peerDial };
}

async function withPeerPair(values: FlagValues, platform: Platform, log: Logger): Promise<FlagValues> {
  if (!values["peer-auto-tls"]) return values;
  if (values["peer-cert-file"] !== "" || values["peer-key-file"] !== "") {
    log.warn("ignoring peer auto TLS since certs given");
    return values;
  }
  const pair = await makePair(values, "peer", values["listen-peer-urls"], platform, log);
  return { ...values, "peer-cert-file": pair.certFile, "peer-key-file": pair.keyFile };
}

async function withClientPair(values: FlagValues, platform: Platform, log: Logger): Promise<FlagValues> {
  if (!values["auto-tls"]) return values;
  if (values["cert-file"] !== "" || values["key-file"] !== "") {
    log.warn("ignoring client auto TLS since certs given");
    return values;
  }
  const urls = [...values["listen-client-urls"], ...values["listen-client-http-urls"]];
  const pair = await makePair(values, "client", urls, platform, log);
  return { ...values, "cert-file": pair.certFile, "key-file": pair.keyFile };
}

async function makePair(
  values: FlagValues,
  side: "client" | "peer",
  urls: readonly string[],
  platform: Platform,
  log: Logger,
): Promise<{ certFile: string; keyFile: string }> {
  const directory = join(values["data-dir"], "fixtures", side);
  const validityYears = values["self-signed-cert-validity"];
  try {
    return await selfMadePair({ directory, urls, validityYears }, platform, log);
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`failed to get ${side} self-signed certs: ${text}`, { cause });
  }
}

function announce(
  message: string,
  { certFile, keyFile, caFile = "", crlFile = "", requiresClientCertificate }: ServerTls,
  clientCertFile: string,
  values: FlagValues,
  log: Logger,
): void {
  const info = [
    `cert = ${certFile}`,
    `key = ${keyFile}`,
    `client-cert=${clientCertFile}`,
    `trusted-ca = ${caFile}`,
    `client-cert-auth = ${requiresClientCertificate}`,
    `crl-file = ${crlFile}`,
  ];
  log.info(message, { "tls-info": info.join(", "), "cipher-suites": values["cipher-suites"] });
}

/** For `--cert-file` and what belongs to it; undefined without. @throws {Error} with etcd's text. */
function clientSideTls(values: FlagValues, log: Logger): ServerTls | undefined {
  const [certFile, keyFile] = [values["cert-file"], values["key-file"]];
  if (certFile === "" && keyFile === "") return undefined;
  requirePair(certFile, keyFile);
  requireBothOrNone(values["client-cert-file"], values["client-key-file"]);
  return {
    ...tlsPolicy(values, log),
    certFile,
    keyFile,
    caFile: orNone(values["trusted-ca-file"]),
    requiresClientCertificate: values["client-cert-auth"] || values["trusted-ca-file"] !== "",
    crlFile: orNone(values["client-crl-file"]),
    allowedHostnames: values["client-cert-allowed-hostname"],
    offersHttp2: true,
    rejected: rejectionLog(log, "rejected connection on client endpoint"),
  };
}

/** For `--peer-cert-file` and what belongs to it; undefined without. @throws {Error} with etcd's text. */
function peerSideTls(values: FlagValues, log: Logger): ServerTls | undefined {
  const [certFile, keyFile] = [values["peer-cert-file"], values["peer-key-file"]];
  if (certFile === "" && keyFile === "") return undefined;
  requirePair(certFile, keyFile);
  const [names, hostnames] = [values["peer-cert-allowed-cn"], values["peer-cert-allowed-hostname"]];
  if (names.length > 0 && hostnames.length > 0) {
    const lists = `cns=${goList(names)}, hostnames=${goList(hostnames)}`;
    throw new Error(`AllowedCNs and AllowedHostnames are mutually exclusive (${lists})`);
  }
  return {
    ...tlsPolicy(values, log),
    certFile,
    keyFile,
    caFile: orNone(values["peer-trusted-ca-file"]),
    requiresClientCertificate: values["peer-client-cert-auth"] || values["peer-trusted-ca-file"] !== "",
    checksClientAddress: !values["peer-skip-client-san-verification"],
    crlFile: orNone(values["peer-crl-file"]),
    allowedNames: names,
    allowedHostnames: hostnames,
    offersHttp2: false,
    rejected: rejectionLog(log, "rejected connection on peer endpoint"),
  };
}

/** @param verifiesServer - not where every member has made a certificate for itself. @throws {Error} with etcd's text. */
function peerDialTls(values: FlagValues, verifiesServer: boolean, log: Logger): Omit<ClientTls, "serverName"> {
  const [ownCert, ownKey] = [values["peer-client-cert-file"], values["peer-client-key-file"]];
  requireBothOrNone(ownCert, ownKey);
  return {
    ...tlsPolicy(values, log),
    certFile: orNone(ownCert === "" ? values["peer-cert-file"] : ownCert),
    keyFile: orNone(ownKey === "" ? values["peer-key-file"] : ownKey),
    caFile: orNone(values["peer-trusted-ca-file"]),
    allowedNames: values["peer-cert-allowed-cn"],
    allowedHostnames: values["peer-cert-allowed-hostname"],
    verifiesServer,
    alpn: [],
  };
}

/** Versions and cipher suites. @throws {Error} with etcd's text. */
export function tlsPolicy(
  values: Pick<FlagValues, "cipher-suites" | "tls-min-version" | "tls-max-version">,
  log: Logger,
): TlsMaterial {
  const names = values["cipher-suites"].map((name) => {
    const openssl = cipherNames[name];
    if (brokenCiphers.test(name)) throw new Error(`TLS cipher suite ${name} is broken and no longer exists here`);
    if (openssl === undefined) throw new Error(`unexpected TLS cipher suite ${JSON.stringify(name)}`);
    return openssl;
  });
  const chosen = names.filter((name) => name !== "");
  // Suites of TLS 1.3 alone leave none for TLS 1.2.
  const isOnly13 = names.length > 0 && chosen.length === 0;
  return {
    minVersion: isOnly13 ? "TLSv1.3" : version(values["tls-min-version"]),
    maxVersion: version(values["tls-max-version"]),
    ciphers: chosen.length === 0 ? undefined : chosen.join(":"),
    log,
  };
}

function version(text: string): TlsVersion | undefined {
  if (text === "") return undefined;
  return text === "TLS1.3" ? "TLSv1.3" : "TLSv1.2";
}

/** @throws {Error} with etcd's text unless both are there. */
export function requirePair(certFile: string, keyFile: string): void {
  if (certFile !== "" && keyFile !== "") return;
  throw new Error(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
}

function requireBothOrNone(cert: string, key: string): void {
  if ((cert === "") === (key === "")) return;
  throw new Error(`ClientKeyFile and ClientCertFile must both be present or both absent: key: ${key}, cert: ${cert}]`);
}

/** Tells of connections whose handshake failed. */
export function rejectionLog(log: Logger, message: string): (remote: Address, error: Error) => void {
  return (remote, error) => {
    const address = "path" in remote ? remote.path : `${remote.host}:${remote.port}`;
    log.warn(message, { "remote-addr": address, "server-name": "", error });
  };
}

function orNone(path: string): string | undefined {
  return path === "" ? undefined : path;
}

function goList(items: readonly string[]): string {
  return `[${items.map((item) => JSON.stringify(item)).join(" ")}]`;
}
