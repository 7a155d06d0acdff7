/** `v3lockpb.Lock`: a lock is held by whoever stands first in its line. */
import { copyBytes, emptyBytes } from "../../base/bytes.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import { EtcdError } from "../../wire/errors.ts";
import { LockRequest, LockResponse, UnlockRequest, UnlockResponse } from "../../wire/gen/v3lockpb/v3lock.ts";
import { CallerGone, rangeOf, type LocalClient } from "./local-client.ts";
import { recipe } from "./recipe.ts";
import type { ServiceContext } from "./service-context.ts";
import { enter, leave, linePrefix, waitForTurn } from "./waiting-line.ts";

/** Lease of a lock without one; nobody keeps it alive. */
const sessionTtlSeconds = 60;

export class LockService {
  readonly #context: ServiceContext;
  readonly #client: LocalClient;

  constructor(context: ServiceContext, client: LocalClient) {
    this.#context = context;
    this.#client = client;
  }

  register(server: GrpcServer): void {
    server.unary(
      "/v3lockpb.Lock/Lock",
      recipe(this.#context, LockRequest, LockResponse, (request, call) => this.#lock(request, call)),
    );
    server.unary(
      "/v3lockpb.Lock/Unlock",
      recipe(this.#context, UnlockRequest, UnlockResponse, (request) => this.#unlock(request)),
    );
  }

  async #lock({ name, lease }: LockRequest, call: UnaryCall): Promise<LockResponse> {
    const prefix = linePrefix(copyBytes(name));
    const session = lease === 0n ? await this.#client.grant(sessionTtlSeconds) : lease;
    const place = await enter(this.#client, prefix, { lease: session, value: emptyBytes });
    const isFirst = place.first === undefined || place.first.createRevision === place.createRevision;
    if (isFirst) return { header: this.#context.coldHeader(place.revision), key: place.key };
    try {
      await waitForTurn(this.#client, prefix, place.createRevision, {
        get cancelled() {
          return call.cancelled;
        },
        onOver: (callback) => call.onCancel(callback),
      });
    } catch (error) {
      if (error instanceof CallerGone) await leave(this.#client, place.key);
      throw error;
    }
    const { kvs, revision } = await this.#client.range(rangeOf(place.key));
    // The lease may have expired while waiting.
    if (kvs.length === 0) throw new EtcdError("mutexSessionExpired");
    return { header: this.#context.coldHeader(revision), key: place.key };
  }

  async #unlock({ key }: UnlockRequest): Promise<UnlockResponse> {
    if (key.length === 0) throw new EtcdError("emptyKey");
    const { revision } = await this.#client.delete(copyBytes(key));
    return { header: this.#context.coldHeader(revision) };
  }
}
