/**
 * The standard health service, `grpc.health.v1.Health`: Check, List and Watch over a table of service names. The messages
 * are tiny and encoded here by hand:
 *
 *     HealthCheckRequest  { string service = 1; }
 *     HealthCheckResponse { ServingStatus status = 1; }
 *     HealthListResponse  { map<string, HealthCheckResponse> statuses = 1; }
 */
import { Code } from "../wire/errors.ts";
import type { StreamCall, UnaryCall } from "./calls.ts";
import type { GrpcServer } from "./server.ts";

export const ServingStatus = { unknown: 0, serving: 1, notServing: 2, serviceUnknown: 3 } as const;
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

/** As grpc-go's limit of List. */
const maxListed = 100;

interface Watcher {
  readonly service: string;
  readonly call: StreamCall;
  last: ServingStatus;
}

export class HealthService {
  /** The empty name stands for the server as a whole. */
  readonly #statuses = new Map<string, ServingStatus>([["", ServingStatus.serving]]);
  readonly #watchers = new Set<Watcher>();
  #shutDown = false;

  /** Registers the three methods. */
  register(server: GrpcServer): void {
    server.unary("/grpc.health.v1.Health/Check", (call, request) => this.#check(call, request));
    server.unary("/grpc.health.v1.Health/List", (call) => this.#list(call));
    server.serverStream("/grpc.health.v1.Health/Watch", (call, request) => this.#watch(call, request));
  }

  /** Sets a service's status and tells its watchers; without effect after {@link shutdown}. */
  setStatus(service: string, status: ServingStatus): void {
    if (this.#shutDown) return;
    this.#statuses.set(service, status);
    this.#notify();
  }

  /** Every service is NOT_SERVING from now on. */
  shutdown(): void {
    this.#shutDown = true;
    for (const service of this.#statuses.keys()) this.#statuses.set(service, ServingStatus.notServing);
    this.#notify();
  }

  #notify(): void {
    for (const watcher of this.#watchers) {
      const status = this.#statuses.get(watcher.service) ?? ServingStatus.serviceUnknown;
      if (status === watcher.last) continue;
      watcher.last = status;
      watcher.call.send(encodeStatus(status));
    }
  }

  #check(call: UnaryCall, request: Uint8Array): void {
    const service = decodeService(request);
    if (service === undefined) {
      failDecoding(call);
      return;
    }
    const status = this.#statuses.get(service);
    if (status === undefined) call.fail(Code.NotFound, "unknown service");
    else call.respond(encodeStatus(status));
  }

  #list(call: UnaryCall): void {
    if (this.#statuses.size > maxListed) {
      call.fail(Code.ResourceExhausted, `server health list exceeds maximum capacity: ${maxListed}`);
      return;
    }
    const entries: Uint8Array[] = [];
    for (const [service, status] of this.#statuses) {
      const entry = Buffer.concat([field(1, Buffer.from(service, "utf8")), field(2, encodeStatus(status))]);
      entries.push(field(1, entry));
    }
    call.respond(Buffer.concat(entries));
  }

  #watch(call: StreamCall, request: Uint8Array): void {
    const service = decodeService(request);
    if (service === undefined) {
      failDecoding(call);
      return;
    }
    const last = this.#statuses.get(service) ?? ServingStatus.serviceUnknown;
    const watcher: Watcher = { service, call, last };
    this.#watchers.add(watcher);
    call.onClose(() => this.#watchers.delete(watcher));
    call.send(encodeStatus(last));
  }
}

function failDecoding(call: UnaryCall | StreamCall): void {
  call.fail(Code.Internal, "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data");
}

/** An enum field that is zero is absent. */
function encodeStatus(status: ServingStatus): Uint8Array {
  return status === ServingStatus.unknown ? new Uint8Array(0) : Uint8Array.of(0x08, status);
}

/** A length-delimited field. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of((number << 3) | 2), varint(bytes.length), bytes]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80);
    rest >>>= 7;
  }
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

/** The `service` of a HealthCheckRequest, the last one when given more than once; undefined when the bytes are no message. */
function decodeService(request: Uint8Array): string | undefined {
  let service = "";
  let position = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let shift = 1; shift < 2 ** 35 && position < request.length; shift *= 128) {
      const byte = request[position++];
      value += (byte & 0x7f) * shift;
      if (byte < 0x80) return value;
    }
    return -1;
  };
  while (position < request.length) {
    const tag = readVarint();
    const wireType = tag & 7;
    if (tag < 8) return undefined;
    if (wireType === 0) {
      if (readVarint() < 0) return undefined;
    } else if (wireType === 2) {
      const length = readVarint();
      if (length < 0 || position + length > request.length) return undefined;
      if (tag === 10) service = Buffer.from(request.subarray(position, position + length)).toString("utf8");
      position += length;
    } else if (wireType === 1 || wireType === 5) {
      position += wireType === 1 ? 8 : 4;
      if (position > request.length) return undefined;
    } else {
      return undefined;
    }
  }
  return service;
}
