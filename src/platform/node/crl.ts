/**
 * The serial numbers in a certificate revocation list (RFC 5280, section 5.1), DER or PEM:
 *
 *     SEQUENCE {                                   CertificateList
 *       SEQUENCE {                                 TBSCertList
 *         INTEGER?  SEQUENCE  SEQUENCE             version, signature algorithm, issuer
 *         Time  Time?                              this and next update
 *         SEQUENCE OF SEQUENCE { INTEGER, ... } ?  revoked: serial number, date, extensions
 *         ...
 *
 * As in etcd, a listed number counts for certificates of every issuer, and neither the list's signature nor its dates
 * are looked at: who can write the file decides.
 */
const tag = { integer: 0x02, sequence: 0x30, utcTime: 0x17, generalizedTime: 0x18 } as const;

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** Where the next one starts. */
  readonly end: number;
}

/** @returns upper-case hex without leading zeros. @throws {Error} when the bytes are no revocation list. */
export function revokedSerials(file: Uint8Array): ReadonlySet<string> {
  const list = elementAt(fromPem(file), 0, tag.sequence);
  const fields = childrenOf(elementAt(list.content, 0, tag.sequence).content);
  let index = fields[0]?.tag === tag.integer ? 1 : 0;
  for (let count = 0; count < 2; count++) if (fields[index++]?.tag !== tag.sequence) throw malformed();
  if (!isTime(fields[index++])) throw malformed();
  if (isTime(fields[index])) index++;
  const revoked = fields[index];
  const serials = new Set<string>();
  if (revoked?.tag !== tag.sequence) return serials;
  for (const entry of childrenOf(revoked.content)) {
    serials.add(serialText(elementAt(entry.content, 0, tag.integer).content));
  }
  return serials;
}

/** The form in which serial numbers are compared. @param hex - as Node's X509Certificate gives it. */
export function normalSerial(hex: string): string {
  return hex.toUpperCase().replace(/^0+(?=.)/, "");
}

function serialText(bytes: Uint8Array): string {
  return normalSerial(Buffer.from(bytes).toString("hex"));
}

function fromPem(file: Uint8Array): Uint8Array {
  const match = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]+)-----END X509 CRL-----/.exec(
    Buffer.from(file).toString("latin1"),
  );
  return match === null ? file : Buffer.from(match[1], "base64");
}

function isTime(element: Element | undefined): boolean {
  return element?.tag === tag.utcTime || element?.tag === tag.generalizedTime;
}

function childrenOf(bytes: Uint8Array): Element[] {
  const children: Element[] = [];
  for (let offset = 0; offset < bytes.length;) {
    const child = elementAt(bytes, offset);
    children.push(child);
    offset = child.end;
  }
  return children;
}

function elementAt(bytes: Uint8Array, start: number, wanted?: number): Element {
  if (start + 2 > bytes.length) throw malformed();
  let length = bytes[start + 1];
  let offset = start + 2;
  if (length >= 0x80) {
    const lengthBytes = length & 0x7f;
    if (lengthBytes === 0 || lengthBytes > 4 || offset + lengthBytes > bytes.length) throw malformed();
    length = 0;
    for (let count = 0; count < lengthBytes; count++) length = length * 256 + bytes[offset++];
  }
  const end = offset + length;
  if (end > bytes.length || (wanted !== undefined && bytes[start] !== wanted)) throw malformed();
  return { tag: bytes[start], content: bytes.subarray(offset, end), end };
}

function malformed(): Error {
  return new Error("x509: malformed crl");
}
