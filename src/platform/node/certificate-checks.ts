/**
 * What a verified certificate must say besides: names that are allowed, the address that the client comes from, and not
 * being revoked. Texts are Go's, since operators search for them. Source: etcd client/pkg/transport/listener_tls.go.
 */
import type { X509Certificate } from "node:crypto";
import { lookup, reverse } from "node:dns/promises";
import { isIP } from "node:net";
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import type { TlsIdentity } from "../network.ts";
import type { TlsMaterial } from "../tls.ts";
import { normalSerial } from "./crl.ts";
import type { RevocationList } from "./tls-files.ts";

/** A name in several certificates of a chain ends the walk; real chains have three or four. */
const chainLengthMax = 16;

/**
 * What the session proves. Certificates are handed in: on a client's socket Node (20.20) gives the certificate away only
 * at the first call of `getPeerX509Certificate`.
 */
export function identityOf(socket: TLSSocket, certificate: X509Certificate | undefined): TlsIdentity {
  const alpn = typeof socket.alpnProtocol === "string" && socket.alpnProtocol !== "" ? socket.alpnProtocol : undefined;
  return { verified: socket.authorized, commonName: commonNameOf(certificate), alpn };
}

function commonNameOf(certificate: X509Certificate | undefined): string | undefined {
  // Several names come as a list, which Node's types do not say.
  const subject = certificate?.toLegacyObject().subject;
  const name = subject?.CN as string | readonly string[] | undefined;
  return typeof name === "string" ? name : name?.at(-1);
}

/** @throws {Error} when `--…-allowed-…` settings are there and the certificate has none of the names. */
export function checkAllowed(
  certificate: X509Certificate | undefined,
  { allowedNames = [], allowedHostnames = [] }: TlsMaterial,
): void {
  if (allowedNames.length === 0 && allowedHostnames.length === 0) return;
  const name = commonNameOf(certificate);
  const isAllowed =
    allowedNames.length > 0
      ? name !== undefined && allowedNames.includes(name)
      : certificate !== undefined && allowedHostnames.some((host) => isValidFor(certificate, host));
  if (!isAllowed) throw new Error("client certificate authentication failed");
}

/** @throws {Error} when a certificate of the chain is revoked, or the list cannot be used. */
export function checkRevoked(socket: TLSSocket, list: RevocationList): void {
  let certificate: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  if (certificate.serialNumber === undefined && socket.getPeerX509Certificate() !== undefined) {
    throw new Error("transport: the certificate's serial number cannot be read");
  }
  for (let depth = 0; depth < chainLengthMax && certificate?.serialNumber !== undefined; depth++) {
    const serial = normalSerial(certificate.serialNumber);
    if (list.has(serial)) throw new Error(`transport: certificate serial ${serial.toLowerCase()} revoked`);
    const issuer: DetailedPeerCertificate | undefined = certificate.issuerCertificate;
    certificate = issuer === certificate ? undefined : issuer;
  }
}

/** @throws {Error} when the certificate is not for this server. @param name - host name or IP. */
export function checkServerName(certificate: X509Certificate | undefined, name: string): void {
  if (certificate === undefined) throw new Error("tls: server presented no certificate");
  if (isValidFor(certificate, name)) return;
  const { ips, hosts } = alternativeNames(certificate);
  if (isIP(name) !== 0) {
    if (ips.length === 0) {
      throw new Error(`x509: cannot validate certificate for ${name} because it doesn't contain any IP SANs`);
    }
    throw new Error(`x509: certificate is valid for ${ips.join(", ")}, not ${name}`);
  }
  if (hosts.length > 0) throw new Error(`x509: certificate is valid for ${hosts.join(", ")}, not ${name}`);
  if (ips.length === 0 && /^CN=/m.test(certificate.subject)) {
    throw new Error("x509: certificate relies on legacy Common Name field, use SANs instead");
  }
  throw new Error(`x509: certificate is not valid for any names, but wanted to match ${name}`);
}

/**
 * The certificate of a peer names its machine: an IP among its names must be the address that the peer comes from, or one
 * of its host names must resolve to it, forward or backward. A certificate without names fits everywhere.
 *
 * @throws {Error} with etcd's text, by rejection.
 */
export async function checkClientAddress(certificate: X509Certificate, address: string): Promise<void> {
  const { ips, hosts } = alternativeNames(certificate);
  if (ips.length > 0) {
    if (certificate.checkIP(address) !== undefined) return;
    if (hosts.length === 0) throw new Error(`x509: certificate is valid for ${ips.join(", ")}, not ${address}`);
  }
  if (hosts.length === 0 || (await isAmong(address, hosts))) return;
  const names = hosts.map((host) => JSON.stringify(host)).join(" ");
  throw new Error(`tls: ${JSON.stringify(address)} does not match any of DNSNames [${names}]`);
}

async function isAmong(address: string, hosts: readonly string[]): Promise<boolean> {
  const names = hosts.filter((host) => !host.startsWith("*."));
  const suffixes = hosts.filter((host) => host.startsWith("*.")).map((host) => host.slice(1));
  const forward = await Promise.all(names.map((name) => lookup(name, { all: true }).catch(() => [])));
  if (forward.flat().some((found) => found.address === address)) return true;
  const backward = (await reverse(address).catch(() => [])).map((name) => name.replace(/\.$/, ""));
  return backward.some((name) => names.includes(name) || suffixes.some((suffix) => name.endsWith(suffix)));
}

function isValidFor(certificate: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, { subject: "never" }) !== undefined;
}

/** Node prints the names as a list, quoting those that could be mistaken for several; quoted ones are no host names. */
function alternativeNames({ subjectAltName = "" }: X509Certificate): { ips: string[]; hosts: string[] } {
  const ips: string[] = [];
  const hosts: string[] = [];
  for (const match of subjectAltName.matchAll(/(DNS|IP Address|[A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/g)) {
    if (match[2].startsWith('"')) continue;
    if (match[1] === "DNS") hosts.push(match[2]);
    if (match[1] === "IP Address") ips.push(match[2]);
  }
  return { ips, hosts };
}
