/**
 * Header fields as HPACK tables hold them. A field that came from a table is handed on as it lies there, so a request
 * whose fields are all indexed makes no strings at all. The kind of a name is looked up once, when the field is made.
 */

/** What a name means to the layers above; `ordinary` is everything without a meaning of its own. */
export const FieldKind = {
  ordinary: 0,
  method: 1,
  scheme: 2,
  path: 3,
  authority: 4,
  status: 5,
  contentType: 6,
  te: 7,
  userAgent: 8,
  grpcTimeout: 9,
  grpcEncoding: 10,
  grpcAcceptEncoding: 11,
  grpcStatus: 12,
  grpcMessage: 13,
  /** Of one HTTP/1 connection (`connection`, `transfer-encoding`, ...): malformed in HTTP/2. */
  connectionSpecific: 14,
  /** An unknown pseudo-header, an upper-case or illegal name, or an illegal value: malformed. */
  malformed: 15,
  /** An ordinary name ending in `-bin`, whose value gRPC encodes in base64. */
  binary: 16,
} as const;
export type FieldKind = (typeof FieldKind)[keyof typeof FieldKind];

/** One field. Name and value are byte strings: each character is one byte. */
export class HeaderField {
  readonly kind: FieldKind;
  readonly name: string;
  readonly value: string;
  /** As HPACK counts it (RFC 7541 section 4.1): both lengths and 32. */
  readonly size: number;

  constructor(name: string, value: string, kind: FieldKind) {
    this.kind = kind;
    this.name = name;
    this.value = value;
    this.size = name.length + value.length + 32;
  }
}

const kinds = new Map<string, FieldKind>([
  [":method", FieldKind.method],
  [":scheme", FieldKind.scheme],
  [":path", FieldKind.path],
  [":authority", FieldKind.authority],
  [":status", FieldKind.status],
  ["content-type", FieldKind.contentType],
  ["te", FieldKind.te],
  ["user-agent", FieldKind.userAgent],
  ["grpc-timeout", FieldKind.grpcTimeout],
  ["grpc-encoding", FieldKind.grpcEncoding],
  ["grpc-accept-encoding", FieldKind.grpcAcceptEncoding],
  ["grpc-status", FieldKind.grpcStatus],
  ["grpc-message", FieldKind.grpcMessage],
  ["connection", FieldKind.connectionSpecific],
  ["keep-alive", FieldKind.connectionSpecific],
  ["proxy-connection", FieldKind.connectionSpecific],
  ["transfer-encoding", FieldKind.connectionSpecific],
  ["upgrade", FieldKind.connectionSpecific],
]);

/** The kind of a field with this name, `malformed` when the name is not legal (RFC 9113 section 8.2.1). */
export function fieldKind(name: string): FieldKind {
  const kind = kinds.get(name);
  if (kind !== undefined) return kind;
  if (name.length === 0) return FieldKind.malformed;
  for (let index = 0; index < name.length; index++) {
    const character = name.charCodeAt(index);
    const upper = character >= 0x41 && character <= 0x5a;
    // A colon is legal only as the first character of a pseudo-header, and those are all known.
    if (character <= 0x20 || character >= 0x7f || upper || character === 0x3a) return FieldKind.malformed;
  }
  return name.endsWith("-bin") ? FieldKind.binary : FieldKind.ordinary;
}

/** True unless the value holds NUL, CR or LF (RFC 9113 section 8.2.1). */
export function isLegalValue(value: string): boolean {
  for (let index = 0; index < value.length; index++) {
    const character = value.charCodeAt(index);
    if (character <= 0x0d && (character === 0 || character === 0x0a || character === 0x0d)) return false;
  }
  return true;
}

/** The static table (RFC 7541 appendix A), first entry at index 1 of the format, 0 here. */
export const staticTable: readonly HeaderField[] = [
  [":authority", ""],
  [":method", "GET"],
  [":method", "POST"],
  [":path", "/"],
  [":path", "/index.html"],
  [":scheme", "http"],
  [":scheme", "https"],
  [":status", "200"],
  [":status", "204"],
  [":status", "206"],
  [":status", "304"],
  [":status", "400"],
  [":status", "404"],
  [":status", "500"],
  ["accept-charset", ""],
  ["accept-encoding", "gzip, deflate"],
  ["accept-language", ""],
  ["accept-ranges", ""],
  ["accept", ""],
  ["access-control-allow-origin", ""],
  ["age", ""],
  ["allow", ""],
  ["authorization", ""],
  ["cache-control", ""],
  ["content-disposition", ""],
  ["content-encoding", ""],
  ["content-language", ""],
  ["content-length", ""],
  ["content-location", ""],
  ["content-range", ""],
  ["content-type", ""],
  ["cookie", ""],
  ["date", ""],
  ["etag", ""],
  ["expect", ""],
  ["expires", ""],
  ["from", ""],
  ["host", ""],
  ["if-match", ""],
  ["if-modified-since", ""],
  ["if-none-match", ""],
  ["if-range", ""],
  ["if-unmodified-since", ""],
  ["last-modified", ""],
  ["link", ""],
  ["location", ""],
  ["max-forwards", ""],
  ["proxy-authenticate", ""],
  ["proxy-authorization", ""],
  ["range", ""],
  ["referer", ""],
  ["refresh", ""],
  ["retry-after", ""],
  ["server", ""],
  ["set-cookie", ""],
  ["strict-transport-security", ""],
  ["transfer-encoding", ""],
  ["user-agent", ""],
  ["vary", ""],
  ["via", ""],
  ["www-authenticate", ""],
].map(([name, value]) => new HeaderField(name, value, fieldKind(name)));
