/** gRPC statuses as they travel: the error a client sees, and the percent-encoding of `grpc-message`. */
import { Code, codeName } from "../wire/errors.ts";

/** A call that ended with a status other than OK. `message` is the peer's text, nothing added. */
export class GrpcError extends Error {
  override readonly name = "GrpcError";
  /** gRPC status code; numbers outside the table stay as the peer sent them. */
  readonly code: number;
  /** No server has begun with the call: sending it again elsewhere is safe, whatever it does. */
  readonly isUnsent: boolean;

  constructor(code: number, message: string, options: ErrorOptions & { readonly isUnsent?: boolean } = {}) {
    super(message, options);
    this.code = code;
    this.isUnsent = options.isUnsent === true;
  }

  /** As Go prints it: `rpc error: code = NotFound desc = ...`. */
  toGoString(): string {
    return `rpc error: code = ${codeName(this.code)} desc = ${this.message}`;
  }
}

/** The status a client makes of an HTTP error without gRPC status (grpc's http-grpc-status-mapping). */
export function codeOfHttpStatus(status: number): Code {
  switch (status) {
    case 400:
      return Code.Internal;
    case 401:
      return Code.Unauthenticated;
    case 403:
      return Code.PermissionDenied;
    case 404:
      return Code.Unimplemented;
    case 429:
    case 502:
    case 503:
    case 504:
      return Code.Unavailable;
    default:
      return Code.Unknown;
  }
}

const hexDigits = "0123456789ABCDEF";

/** UTF-8 with everything but printable ASCII, and `%`, percent-encoded; a byte string. */
export function encodeMessage(message: string): string {
  let plain = true;
  for (let index = 0; index < message.length && plain; index++) plain = isPlain(message.charCodeAt(index));
  if (plain) return message;
  let encoded = "";
  for (const byte of Buffer.from(message, "utf8")) {
    encoded += isPlain(byte) ? String.fromCharCode(byte) : `%${hexDigits[byte >>> 4]}${hexDigits[byte & 15]}`;
  }
  return encoded;
}

function isPlain(byte: number): boolean {
  return byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
}

/** The reverse; a broken escape stays as it is, as in grpc-go. */
export function decodeMessage(encoded: string): string {
  if (!encoded.includes("%")) return encoded;
  const bytes: number[] = [];
  for (let index = 0; index < encoded.length; index++) {
    const escape = encoded.slice(index + 1, index + 3);
    if (encoded[index] === "%" && /^[0-9a-fA-F]{2}$/.test(escape)) {
      bytes.push(Number.parseInt(escape, 16));
      index += 2;
    } else {
      bytes.push(encoded.charCodeAt(index));
    }
  }
  return Buffer.from(bytes).toString("utf8");
}
