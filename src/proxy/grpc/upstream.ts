/**
 * The proxy's way to the members: calls are sent on as bytes, with the caller's token, deadline and cancellation, on the
 * next usable connection; where nothing can have happened yet, or it does no harm twice, once more elsewhere.
 */
import { Channel, type ChannelOptions } from "../../client/channel.ts";
import { methods } from "../../client/methods.ts";
import type { CallOptions, ClientStream, GrpcClient, Metadata } from "../../grpc/client.ts";
import { GrpcError } from "../../grpc/status.ts";
import { Code } from "../../wire/errors.ts";

/** What a member is told of the API that the proxy speaks. */
const apiVersion = "3.6";
/** Longest wait for a connection, whatever the caller's deadline is: no member is up then. */
const connectionWaitMs = 5000;
/** Pause before all endpoints are asked once more. */
const retryPauseMs = 25;
/** How often each endpoint is asked. */
const roundsMax = 3;
/** Calls on connections that are no longer wanted may end for this long. */
const retireMs = 30_000;

const repeatablePaths: ReadonlySet<string> = new Set(
  Object.values(methods)
    .filter(({ repeatable }) => repeatable)
    .map(({ path }) => path),
);

/** On whose behalf a member is asked. */
export interface Caller {
  /** The caller's token, under the name that it came by; empty without authentication. */
  readonly credentials: Metadata;
  /** The caller wants no answer from a member without a leader. */
  readonly requiresLeader: boolean;
  /** Monotonic milliseconds. */
  readonly deadline?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The proxy itself. */
export const nobody: Caller = { credentials: {}, requiresLeader: false };

/** What of a call tells who makes it. */
export function callerOf(
  call: { metadata(name: string): string | undefined; readonly deadline: number | undefined },
  signal?: AbortSignal,
): Caller {
  const credentials: Record<string, string> = {};
  for (const name of ["token", "authorization"]) {
    const value = call.metadata(name);
    if (value !== undefined) credentials[name] = value;
  }
  return { credentials, requiresLeader: call.metadata("hasleader") === "true", deadline: call.deadline, signal };
}

/** Equal for callers that members cannot tell apart. */
export function callerKey({ credentials, requiresLeader }: Caller): string {
  return JSON.stringify([credentials, requiresLeader]);
}

export class Upstream {
  readonly #options: ChannelOptions;
  #channel: Channel;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.#channel = new Channel(options);
  }

  get endpoints(): readonly string[] {
    return this.#channel.endpoints;
  }

  /** Moves to other endpoints; what runs on the old ones has some time to end. */
  useEndpoints(endpoints: readonly string[]): void {
    const former = this.#channel;
    this.#channel = new Channel({ ...this.#options, endpoints });
    this.#options.clock.setTimer(() => former.close(), retireMs);
  }

  /** @param request - owned. @throws {GrpcError} by rejection; Unavailable when no member can be reached. */
  async unary(path: string, request: Uint8Array, caller: Caller): Promise<Uint8Array> {
    const { length } = this.endpoints;
    for (let attempt = 1; ; attempt++) {
      try {
        const connection = await this.#connection(caller);
        return await connection.unary(path, request, this.#callOptions(caller));
      } catch (error) {
        if (!mayRepeat(path, error) || attempt >= length * roundsMax) throw error;
      }
      if (attempt % length === 0) await this.#pause();
    }
  }

  /** @throws {GrpcError} by rejection, when no member can be reached. */
  async stream(path: string, caller: Caller): Promise<ClientStream> {
    const connection = await this.#connection(caller);
    return connection.stream(path, this.#callOptions(caller));
  }

  close(): void {
    this.#channel.close();
  }

  async #connection({ deadline }: Caller): Promise<GrpcClient> {
    const latest = this.#options.clock.monotonic() + connectionWaitMs;
    try {
      return await this.#channel.connection(Math.min(deadline ?? latest, latest));
    } catch (error) {
      if (!(error instanceof GrpcError) || (deadline !== undefined && deadline <= latest)) throw error;
      throw new GrpcError(Code.Unavailable, error.message, { cause: error });
    }
  }

  #callOptions({ credentials, requiresLeader, deadline, signal }: Caller): CallOptions {
    const leftMs = deadline === undefined ? undefined : Math.max(1, deadline - this.#options.clock.monotonic());
    return {
      metadata: { "client-api-version": apiVersion, ...credentials, ...(requiresLeader ? { hasleader: "true" } : {}) },
      ...(signal === undefined ? {} : { signal }),
      ...(leftMs === undefined ? {} : { timeoutMs: leftMs }),
    };
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.setTimer(resolve, retryPauseMs));
  }
}

function mayRepeat(path: string, error: unknown): boolean {
  if (!(error instanceof GrpcError)) return false;
  return error.isUnsent || (repeatablePaths.has(path) && error.code === Code.Unavailable);
}
