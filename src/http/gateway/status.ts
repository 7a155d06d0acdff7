/** gRPC status codes as HTTP statuses, and the body that tells an error. @see grpc-gateway v2, runtime/errors.go */
import { Code } from "../../wire/errors.ts";

/** By gRPC code. */
const httpStatuses: readonly number[] = [
  200, // OK
  499, // Canceled
  500, // Unknown
  400, // InvalidArgument
  504, // DeadlineExceeded
  404, // NotFound
  409, // AlreadyExists
  403, // PermissionDenied
  429, // ResourceExhausted
  400, // FailedPrecondition
  409, // Aborted
  400, // OutOfRange
  501, // Unimplemented
  500, // Internal
  503, // Unavailable
  500, // DataLoss
  401, // Unauthenticated
];

export interface Status {
  readonly code: number;
  readonly message: string;
}

export function httpStatus(code: number): number {
  return httpStatuses[code] ?? 500;
}

/** `google.rpc.Status` in JSON; there are no details to tell. */
export function statusText({ code, message }: Status): string {
  return JSON.stringify(message === "" ? { code } : { code, message });
}

export function errorHeaders({ code, message }: Status): Record<string, string> {
  const headers: Record<string, string> = { "Content-Type": "application/json" };
  if (code === Code.Unauthenticated) headers["WWW-Authenticate"] = message;
  return headers;
}
