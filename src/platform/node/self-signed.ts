/**
 * A certificate that signs itself, as `--auto-tls` wants it (RFC 5280): key on P-521, organization `etcd`, valid for the
 * hosts given.
 *
 * @see etcd client/pkg/transport/listener.go, `SelfCert`
 */
import { createHash, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import {
  bitString,
  boolean,
  context,
  integer,
  objectIdentifier,
  octetString,
  printableString,
  sequence,
  setOf,
  time,
} from "./der.ts";

const oid = {
  ecdsaWithSha512: "1.2.840.10045.4.3.4",
  organizationName: "2.5.4.10",
  keyUsage: "2.5.29.15",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  basicConstraints: "2.5.29.19",
  subjectKeyIdentifier: "2.5.29.14",
  subjectAltName: "2.5.29.17",
} as const;

/** digitalSignature, keyEncipherment, cRLSign; the last bit of the byte is not used. */
const keyUsageBits = { byte: 0b1010_0010, unused: 1 } as const;
const serialBytes = 16;
/** Choices of GeneralName. */
const generalName = { dns: 2, ip: 7 } as const;

export interface SelfSignedOptions {
  /** Host names and IPs, IPv6 without brackets. */
  readonly hosts: readonly string[];
  /** Milliseconds since 1970; `notAfterMs` is the last one. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** @returns PEM; the key is an `EC PRIVATE KEY`. */
export function selfSigned({ hosts, notBeforeMs, notAfterMs }: SelfSignedOptions): {
  certificate: string;
  key: string;
} {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-521" });
  const publicKeyInfo = publicKey.export({ type: "spki", format: "der" });
  const algorithm = sequence(objectIdentifier(oid.ecdsaWithSha512));
  const name = sequence(setOf(sequence(objectIdentifier(oid.organizationName), printableString("etcd"))));
  const toBeSigned = sequence(
    context(0, "constructed", integer(Buffer.from([2]))), // version 3
    integer(randomBytes(serialBytes)),
    algorithm,
    name,
    sequence(time(new Date(notBeforeMs)), time(new Date(notAfterMs))),
    name,
    publicKeyInfo,
    context(3, "constructed", sequence(...extensions(hosts, publicKeyInfo))),
  );
  const signature = bitString(sign("sha512", toBeSigned, privateKey));
  const der = sequence(toBeSigned, algorithm, signature);
  const lines = der.toString("base64").replace(/.{64}(?=.)/g, "$&\n");
  return {
    certificate: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: "sec1", format: "pem" }) as string,
  };
}

function extensions(hosts: readonly string[], publicKeyInfo: Uint8Array): Buffer[] {
  const keyIdentifier = createHash("sha1").update(publicKeyInfo).digest();
  return [
    extension(oid.keyUsage, "critical", bitString(Buffer.from([keyUsageBits.byte]), keyUsageBits.unused)),
    extension(oid.extendedKeyUsage, "advice", sequence(objectIdentifier(oid.serverAuth))),
    extension(oid.basicConstraints, "critical", sequence(boolean(true))),
    extension(oid.subjectKeyIdentifier, "advice", octetString(keyIdentifier)),
    ...(hosts.length === 0 ? [] : [extension(oid.subjectAltName, "advice", sequence(...hosts.map(hostName)))]),
  ];
}

function extension(id: string, weight: "critical" | "advice", value: Uint8Array): Buffer {
  const critical = weight === "critical" ? [boolean(true)] : []; // false is the default, and defaults are left out
  return sequence(objectIdentifier(id), ...critical, octetString(value));
}

function hostName(host: string): Buffer {
  const bytes = addressBytes(host);
  if (bytes !== undefined) return context(generalName.ip, "primitive", bytes);
  return context(generalName.dns, "primitive", Buffer.from(host, "ascii"));
}

/** Four or sixteen bytes; undefined for a name. */
function addressBytes(host: string): Uint8Array | undefined {
  if (isIPv4(host)) return Buffer.from(host.split(".").map(Number));
  if (!isIPv6(host)) return undefined;
  // The URL writes it in hexadecimal groups only; `::` stands for as many zero groups as are missing.
  const [left, right] = new URL(`http://[${host.replace(/%.*$/, "")}]`).hostname
    .slice(1, -1)
    .split("::")
    .map((part) => part.split(":").filter((group) => group !== ""));
  const groups =
    right === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return Buffer.from(groups.map((group) => group.padStart(4, "0")).join(""), "hex");
}
