/** Malformed protobuf from outside. Nothing was changed; the text follows Go's generated code. */
import { EtcdError } from "./errors.ts";

export class WireError extends Error {
  override readonly name = "WireError";
}

/**
 * Decodes a client's message; what is malformed becomes the status that grpc-go answers with.
 *
 * @throws {EtcdError} `unmarshalling`, or the decoder's own.
 */
export function decodeRequest<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  try {
    return decode(bytes);
  } catch (cause) {
    if (cause instanceof EtcdError) throw cause;
    throw new EtcdError("unmarshalling", { cause, detail: goText(cause) });
  }
}

/** The generated codecs have words of their own for a message that is cut short. */
function goText(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return text === "premature EOF" ? "unexpected EOF" : text;
}
