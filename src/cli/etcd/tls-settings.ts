/**
 * The TLS flags as what listeners and dialers need. Texts of errors are etcd's; source: server/embed/etcd.go,
 * client/pkg/transport/listener.go.
 */
import type { Logger } from "../../platform/logger.ts";
import type { Address } from "../../platform/network.ts";
import type { ClientTls, ServerTls, TlsMaterial, TlsVersion } from "../../platform/tls.ts";
import type { FlagValues } from "./flags.ts";

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
};

export function isSecureUrl(url: string): boolean {
  return url.startsWith("https:") || url.startsWith("unixs:");
}

/** For `--cert-file` and what belongs to it; undefined without. @throws {Error} with etcd's text. */
export function clientSideTls(values: FlagValues, log: Logger): ServerTls | undefined {
  const [certFile, keyFile] = [values["cert-file"], values["key-file"]];
  if (certFile === "" && keyFile === "") return undefined;
  requirePair(certFile, keyFile);
  requireBothOrNone(values["client-cert-file"], values["client-key-file"]);
  return {
    ...policy(values, log),
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
export function peerSideTls(values: FlagValues, log: Logger): ServerTls | undefined {
  const [certFile, keyFile] = [values["peer-cert-file"], values["peer-key-file"]];
  if (certFile === "" && keyFile === "") return undefined;
  requirePair(certFile, keyFile);
  const [names, hostnames] = [values["peer-cert-allowed-cn"], values["peer-cert-allowed-hostname"]];
  if (names.length > 0 && hostnames.length > 0) {
    const lists = `cns=${goList(names)}, hostnames=${goList(hostnames)}`;
    throw new Error(`AllowedCNs and AllowedHostnames are mutually exclusive (${lists})`);
  }
  return {
    ...policy(values, log),
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

/** How this member dials others at https URLs, but for the server's name. @throws {Error} with etcd's text. */
export function peerDialTls(values: FlagValues, log: Logger): Omit<ClientTls, "serverName"> {
  const [ownCert, ownKey] = [values["peer-client-cert-file"], values["peer-client-key-file"]];
  requireBothOrNone(ownCert, ownKey);
  return {
    ...policy(values, log),
    certFile: orNone(ownCert === "" ? values["peer-cert-file"] : ownCert),
    keyFile: orNone(ownKey === "" ? values["peer-key-file"] : ownKey),
    caFile: orNone(values["peer-trusted-ca-file"]),
    allowedNames: values["peer-cert-allowed-cn"],
    allowedHostnames: values["peer-cert-allowed-hostname"],
    verifiesServer: true,
    alpn: [],
  };
}

function policy(values: FlagValues, log: Logger): TlsMaterial {
  const names = values["cipher-suites"].map((name) => {
    const openssl = cipherNames[name];
    if (openssl === undefined) throw new Error(`unexpected TLS cipher suite ${JSON.stringify(name)}`);
    return openssl;
  });
  const chosen = names.filter((name) => name !== "");
  return {
    minVersion: version(values["tls-min-version"]),
    maxVersion: version(values["tls-max-version"]),
    ciphers: chosen.length === 0 ? undefined : chosen.join(":"),
    log,
  };
}

function version(text: string): TlsVersion | undefined {
  if (text === "") return undefined;
  return text === "TLS1.3" ? "TLSv1.3" : "TLSv1.2";
}

function requirePair(certFile: string, keyFile: string): void {
  if (certFile !== "" && keyFile !== "") return;
  throw new Error(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
}

function requireBothOrNone(cert: string, key: string): void {
  if ((cert === "") === (key === "")) return;
  throw new Error(`ClientKeyFile and ClientCertFile must both be present or both absent: key: ${key}, cert: ${cert}]`);
}

function rejectionLog(log: Logger, message: string): (remote: Address, error: Error) => void {
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
