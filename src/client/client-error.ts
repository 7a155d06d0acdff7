/**
 * Errors of the client as Go's clientv3 shows them: etcd's own texts stand bare (`etcdserver: key is not provided`),
 * anything else as `rpc error: code = Unavailable desc = ...`, and a deadline as `context deadline exceeded`.
 */
import { GrpcError } from "../grpc/status.ts";
import { Code, codeName, reasons } from "../wire/errors.ts";

/** Texts that Go's client knows and therefore prints without their code. */
const knownMessages: ReadonlySet<string> = new Set(
  Object.values(reasons)
    .map((reason) => reason.message)
    .filter((message) => message.startsWith("etcdserver: ")),
);

export class ClientError extends Error {
  override readonly name = "ClientError";
  readonly code: number;
  /** The server's text without any decoration. */
  readonly description: string;

  /** @param message - as Go's client prints the error. */
  constructor(code: number, description: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.description = description;
  }
}

/** What Go prints of a status that was not converted: `rpc error: code = NotFound desc = ...`. */
export function statusText(error: GrpcError): string {
  return `rpc error: code = ${codeName(error.code)} desc = ${error.message}`;
}

/** Converts what a call threw; `timedOut` when our own deadline passed. */
export function clientError(error: unknown, timedOut = false): ClientError {
  if (error instanceof ClientError) return error;
  if (!(error instanceof GrpcError)) {
    const text = error instanceof Error ? error.message : String(error);
    return new ClientError(Code.Unknown, text, text, { cause: error });
  }
  const { code, message } = error;
  if (knownMessages.has(message)) return new ClientError(code, message, message, { cause: error });
  if (timedOut && code === Code.DeadlineExceeded) {
    return new ClientError(code, message, "context deadline exceeded", { cause: error });
  }
  if (code === Code.Canceled) return new ClientError(code, message, "context canceled", { cause: error });
  return new ClientError(code, message, statusText(error), { cause: error });
}

export function isClientError(error: unknown, description: string): boolean {
  return error instanceof ClientError && error.description === description;
}
