import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { integer, objectIdentifier, octetString, time } from "./der.ts";
import { selfSigned } from "./self-signed.ts";

const hour = 3_600_000;
const notBeforeMs = Date.UTC(2026, 10, 25, 3);

test("the certificate is its own issuer, valid for the hosts and the time asked for, and fits the key", () => {
  const hosts = ["127.0.0.1", "::1", "fe80::1:2", "localhost", "etcd-0.example"];
  const { certificate, key } = selfSigned({ hosts, notBeforeMs, notAfterMs: notBeforeMs + hour });
  const parsed = new X509Certificate(certificate);
  expect(parsed.subject).toBe("O=etcd");
  expect(parsed.issuer).toBe("O=etcd");
  expect(parsed.verify(parsed.publicKey)).toBe(true);
  expect(parsed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(parsed.checkPrivateKey(createPrivateKey(key))).toBe(true);
  expect(key).toMatch(/^-----BEGIN EC PRIVATE KEY-----/);
  expect(createPrivateKey(key).asymmetricKeyDetails).toEqual({ namedCurve: "secp521r1" });
  expect([Date.parse(parsed.validFrom), Date.parse(parsed.validTo)]).toEqual([notBeforeMs, notBeforeMs + hour]);
  for (const host of hosts.slice(0, 3)) expect(parsed.checkIP(host)).toBe(host);
  for (const host of hosts.slice(3)) expect(parsed.checkHost(host)).toBe(host);
  expect(parsed.checkIP("::2")).toBeUndefined();
  expect(parsed.checkHost("elsewhere")).toBeUndefined();
});

test("a certificate that outlives 2049 is dated with four digits", () => {
  const notAfterMs = Date.UTC(2056, 0, 2);
  const parsed = new X509Certificate(selfSigned({ hosts: [], notBeforeMs, notAfterMs }).certificate);
  expect(Date.parse(parsed.validTo)).toBe(notAfterMs);
  expect(parsed.subjectAltName).toBeUndefined();
});

test("no two certificates have the same serial number or key", () => {
  const [one, other] = [0, 1].map(
    () => new X509Certificate(selfSigned({ hosts: [], notBeforeMs, notAfterMs: notBeforeMs + hour }).certificate),
  );
  expect(one.serialNumber).not.toBe(other.serialNumber);
  expect(one.publicKey.equals(other.publicKey)).toBe(false);
});

test.each([
  ["a zero", integer(Buffer.from([0, 0])), "020100"],
  ["a number without its zeros", integer(Buffer.from([0, 0x7f])), "02017f"],
  ["a number whose first bit is set", integer(Buffer.from([0x80])), "02020080"],
  ["an identifier with large parts", objectIdentifier("1.2.840.10045.4.3.4"), "06082a8648ce3d040304"],
  ["a time of two digits", time(new Date(Date.UTC(2049, 11, 31, 23, 59, 59))), "170d3439313233313233353935395a"],
  ["a time of four digits", time(new Date(Date.UTC(2050, 0, 1))), "180f32303530303130313030303030305a"],
])("DER writes %s", (_what, bytes, hex) => expect(bytes.toString("hex")).toBe(hex));

test.each([
  [127, "047f"],
  [128, "048180"],
  [256, "04820100"],
  [65_536, "0483010000"],
])("DER writes a length of %i", (length, head) => {
  expect(octetString(new Uint8Array(length)).toString("hex").slice(0, head.length)).toBe(head);
});
