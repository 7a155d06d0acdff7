/** Handlers of the Lock and Election services: promises, and errors whose code is lost, as in etcd. */
import type { UnaryCall } from "../../grpc/calls.ts";
import { Code } from "../../wire/errors.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import { CallerGone, recipeMessage } from "./local-client.ts";
import type { MessageCodec, ServiceContext } from "./service-context.ts";

export function recipe<Request, Response>(
  context: ServiceContext,
  request: MessageCodec<Request>,
  response: MessageCodec<Response>,
  run: (request: Request, call: UnaryCall) => Promise<Response>,
): (call: UnaryCall, bytes: Uint8Array) => void {
  return (call, bytes) => {
    if (!context.admit(call, "unary")) return;
    context.attempt(call, () => {
      const decoded = decodeRequest((input: Uint8Array) => request.decode(input), bytes);
      context.attemptLater(call, async () => {
        try {
          call.respond(response.encode(await run(decoded, call)).finish());
        } catch (error) {
          failRecipe(call, error);
        }
      });
    });
  };
}

/** Errors of the inner requests come out as `Unknown`; a caller that is gone gets nothing. @throws what is neither. */
export function failRecipe(call: Pick<UnaryCall, "fail">, error: unknown): void {
  if (error instanceof CallerGone) return;
  const message = recipeMessage(error);
  if (message === undefined) throw error;
  call.fail(Code.Unknown, message);
}
