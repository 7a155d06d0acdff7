/** Bytes that are not the message they should be. */
import { EtcdError } from "./errors.ts";

/** A malformed message. Texts are those of the Go decoders, since grpc-go passes them on to the client. */
export class WireError extends Error {
  override readonly name = "WireError";
}

/**
 * Runs a decoder, hot or generated, on bytes that a client sent.
 *
 * @throws {EtcdError} `unmarshalling`, as grpc-go answers, or what the decoder throws of that kind itself.
 */
export function decodeRequest<T>(decode: (bytes: Uint8Array) => T, bytes: Uint8Array): T {
  try {
    return decode(bytes);
  } catch (cause) {
    if (cause instanceof EtcdError) throw cause;
    throw new EtcdError("unmarshalling", { cause, detail: cause instanceof WireError ? cause.message : goText(cause) });
  }
}

/** What Go would have said instead of a generated decoder; the common case is a message cut short. */
function goText(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  return /premature EOF|index out of range|out of bounds/i.test(text) ? "unexpected EOF" : `proto: ${text}`;
}
