/** Handlers that send a call on as it is, or changed by a {@link Rewrite}. */
import { InvariantError } from "../../base/assert.ts";
import { copyBytes } from "../../base/bytes.ts";
import type { ServerStreamHandler, StreamCall, UnaryCall, UnaryHandler } from "../../grpc/calls.ts";
import { GrpcError } from "../../grpc/status.ts";
import { Code, EtcdError } from "../../wire/errors.ts";
import { callerOf, type Caller, type Upstream } from "./upstream.ts";

/** What is changed on the way; takes and gives owned bytes. @throws {EtcdError} by `request`: refused. */
export interface Rewrite {
  request(bytes: Uint8Array): Uint8Array;
  response(bytes: Uint8Array): Uint8Array;
}

export function forwardUnary(upstream: Upstream, path: string, rewrite?: Rewrite): UnaryHandler {
  return answering(async (request, caller) => {
    const response = await upstream.unary(path, rewrite === undefined ? request : rewrite.request(request), caller);
    return rewrite === undefined ? response : rewrite.response(response);
  });
}

/** A handler that answers with what `answer` resolves with. @param answer - gets owned bytes. */
export function answering(answer: (request: Uint8Array, caller: Caller) => Promise<Uint8Array>): UnaryHandler {
  return (call, request) => {
    const cancellation = new AbortController();
    call.onCancel(() => cancellation.abort());
    answer(copyBytes(request), callerOf(call, cancellation.signal)).then(
      (response) => call.respond(response),
      (error: unknown) => failCall(call, error),
    );
  };
}

export function forwardStream(upstream: Upstream, path: string, rewrite?: Rewrite): ServerStreamHandler {
  return (call, request) => {
    const cancellation = new AbortController();
    call.onClose(() => cancellation.abort());
    const caller = callerOf(call, cancellation.signal);
    void relay(upstream, path, { call, request, caller, rewrite });
  };
}

interface Relay {
  readonly call: StreamCall;
  readonly request: Uint8Array;
  readonly caller: Caller;
  readonly rewrite: Rewrite | undefined;
}

async function relay(upstream: Upstream, path: string, { call, request, caller, rewrite }: Relay): Promise<void> {
  let room: (() => void) | undefined;
  const hasRoom = (): void => room?.();
  call.onDrain(hasRoom);
  call.onClose(hasRoom);
  try {
    const stream = await upstream.stream(path, caller);
    await stream.send(rewrite === undefined ? request : rewrite.request(request));
    stream.halfClose();
    for await (const message of stream) {
      const isFull = !call.send(rewrite === undefined ? message : rewrite.response(message));
      if (isFull && !call.cancelled) await new Promise<void>((resolve) => (room = resolve));
    }
    call.end();
  } catch (error) {
    failCall(call, error);
  }
}

/** Answers with the status that a member gave, or with what we refused for. @throws {InvariantError} as it is. */
export function failCall(call: Pick<UnaryCall | StreamCall, "fail">, error: unknown): void {
  const { code, message } = error instanceof EtcdError ? error : grpcErrorOf(error);
  call.fail(code, message);
}

/** What went wrong as a status: a member may also send what is no message. @throws {InvariantError} as it is: our bug. */
export function grpcErrorOf(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error;
  if (error instanceof InvariantError) throw error;
  const text = error instanceof Error ? error.message : String(error);
  return new GrpcError(Code.Internal, `a member's answer cannot be read: ${text}`, { cause: error });
}
