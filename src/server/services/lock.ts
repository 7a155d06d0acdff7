/** `v3lockpb.Lock`: a lock is held by whoever stands first in its line. */
import { copyBytes, emptyBytes } from "../../base/bytes.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import type { WatchHub } from "../../mvcc/watch/watch-hub.ts";
import { EtcdError } from "../../wire/errors.ts";
import { LockRequest, LockResponse, UnlockRequest, UnlockResponse } from "../../wire/gen/v3lockpb/v3lock.ts";
import { CallerGone, LocalClient, rangeOf } from "./local-client.ts";
import { recipe } from "./recipe.ts";
import type { ServiceContext } from "./service-context.ts";
import type { MethodRegistry } from "./token-gate.ts";
import { enter, leave, linePrefix, waitForTurn } from "./waiting-line.ts";

/** Lease of a lock without one; nobody keeps it alive. */
const sessionTtlSeconds = 60;

export class LockService {
  readonly #context: ServiceContext;
  readonly #hub: WatchHub;

  constructor(context: ServiceContext, hub: WatchHub) {
    this.#context = context;
    this.#hub = hub;
  }

  register(server: MethodRegistry): void {
    server.unary(
      "/v3lockpb.Lock/Lock",
      recipe(this.#context, LockRequest, LockResponse, (request, call) => this.#lock(request, call)),
    );
    server.unary(
      "/v3lockpb.Lock/Unlock",
      recipe(this.#context, UnlockRequest, UnlockResponse, (request, call) => this.#unlock(request, call)),
    );
  }

  async #lock({ name, lease }: LockRequest, call: UnaryCall): Promise<LockResponse> {
    const client = new LocalClient(this.#context, this.#hub, call);
    const prefix = linePrefix(copyBytes(name));
    const session = lease === 0n ? await client.grant(sessionTtlSeconds) : lease;
    const place = await enter(client, prefix, { lease: session, value: emptyBytes });
    const isFirst = place.first === undefined || place.first.createRevision === place.createRevision;
    if (isFirst) return { header: this.#context.coldHeader(place.revision), key: place.key };
    try {
      await waitForTurn(client, prefix, place.createRevision, {
        get cancelled() {
          return call.cancelled;
        },
        onOver: (callback) => call.onCancel(callback),
      });
    } catch (error) {
      if (error instanceof CallerGone) await leave(client, place.key);
      throw error;
    }
    const { kvs, revision } = await client.range(rangeOf(place.key));
    // The lease may have expired while waiting.
    if (kvs.length === 0) throw new EtcdError("mutexSessionExpired");
    return { header: this.#context.coldHeader(revision), key: place.key };
  }

  async #unlock({ key }: UnlockRequest, call: UnaryCall): Promise<UnlockResponse> {
    if (key.length === 0) throw new EtcdError("emptyKey");
    const client = new LocalClient(this.#context, this.#hub, call);
    const { revision } = await client.delete(copyBytes(key));
    return { header: this.#context.coldHeader(revision) };
  }
}
