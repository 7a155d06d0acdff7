/**
 * What a gRPC handler sees of an HTTP request's headers: `Grpc-Metadata-X` as `x`, `Authorization` as itself, permanent
 * headers as `grpcgateway-<name>`, and `Grpc-Timeout` as the deadline.
 *
 * @see grpc-gateway v2, runtime/context.go
 */
import { Code } from "../../wire/errors.ts";
import type { Status } from "./status.ts";

/** Name in lower case → first value. */
export type Metadata = ReadonlyMap<string, string>;

/** The permanent headers of the IANA registry that grpc-gateway hands on. */
const permanent = new Set(
  `accept accept-charset accept-language accept-ranges authorization cache-control content-type cookie date expect from
   host if-match if-modified-since if-none-match if-schedule-tag-match if-unmodified-since max-forwards origin pragma
   referer user-agent via warning`.split(/\s+/),
);
const metadataPrefix = "grpc-metadata-";
const unitsMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** @param headers - as Node gives them: names in lower case. */
export function readMetadata(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
  remoteHost: string,
): Metadata | Status {
  const metadata = new Map<string, string>();
  for (const [name, values] of Object.entries(headers)) {
    const value = typeof values === "string" ? values : values?.[0];
    if (value === undefined) continue;
    if (name === "authorization") metadata.set(name, value);
    let key: string;
    if (permanent.has(name)) key = `grpcgateway-${name}`;
    else if (name.startsWith(metadataPrefix)) key = name.slice(metadataPrefix.length);
    else continue;
    if (!/^[0-9a-z_.-]+$/.test(key)) continue;
    if (key.endsWith("-bin")) {
      if (!/^[A-Za-z0-9+/]*={0,2}$/.test(value)) {
        return { code: Code.InvalidArgument, message: `invalid binary header ${name}: illegal base64 data` };
      }
    } else if (!/^[\x20-\x7e]*$/.test(value)) {
      continue;
    }
    metadata.set(key, value);
  }
  const { host } = headers;
  if (typeof host === "string" && host !== "") metadata.set("x-forwarded-host", host);
  const forwarded = headers["x-forwarded-for"];
  metadata.set("x-forwarded-for", typeof forwarded === "string" ? `${forwarded}, ${remoteHost}` : remoteHost);
  return metadata;
}

/** Milliseconds of a `Grpc-Timeout` header; 0 without one. */
export function readTimeout(text: string | undefined): number | Status {
  if (text === undefined || text === "") return 0;
  const unit = unitsMs[text.slice(-1)];
  if (unit === undefined || !/^\d+.$/.test(text)) {
    return { code: Code.InvalidArgument, message: `invalid grpc-timeout: ${text}` };
  }
  return Math.max(Number(text.slice(0, -1)) * unit, Number.MIN_VALUE);
}
