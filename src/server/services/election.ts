/** `v3electionpb.Election`: the leader is whoever stands first in line; its value is what it proclaims. */
import { copyBytes, equalBytes, prefixEnd } from "../../base/bytes.ts";
import type { StreamCall, UnaryCall } from "../../grpc/calls.ts";
import type { WatchHub } from "../../mvcc/watch/watch-hub.ts";
import { EtcdError } from "../../wire/errors.ts";
import {
  CampaignRequest,
  CampaignResponse,
  LeaderRequest,
  LeaderResponse,
  ProclaimRequest,
  ProclaimResponse,
  ResignRequest,
  ResignResponse,
  type LeaderKey,
} from "../../wire/gen/v3electionpb/v3election.ts";
import type { KeyValue } from "../../wire/hot/types.ts";
import { decodeRequest } from "../../wire/wire-error.ts";
import type { IdentifiedCall } from "./callers.ts";
import { CallerGone, createRevisionIs, LocalClient, put, type RecipeCall } from "./local-client.ts";
import { failRecipe, recipe } from "./recipe.ts";
import type { ServiceContext } from "./service-context.ts";
import type { MethodRegistry } from "./token-gate.ts";
import { enter, firstOf, leave, linePrefix, waitForTurn } from "./waiting-line.ts";

const sessionTtlSeconds = 60;

export class ElectionService {
  readonly #context: ServiceContext;
  readonly #hub: WatchHub;

  constructor(context: ServiceContext, hub: WatchHub) {
    this.#context = context;
    this.#hub = hub;
  }

  register(server: MethodRegistry): void {
    const context = this.#context;
    const path = (method: string): string => `/v3electionpb.Election/${method}`;
    server.unary(
      path("Campaign"),
      recipe(context, CampaignRequest, CampaignResponse, (request, call) => this.#campaign(request, call)),
    );
    server.unary(
      path("Proclaim"),
      recipe(context, ProclaimRequest, ProclaimResponse, (request, call) => this.#proclaim(request, call)),
    );
    server.unary(
      path("Leader"),
      recipe(context, LeaderRequest, LeaderResponse, (request, call) => this.#leader(request, call)),
    );
    server.unary(
      path("Resign"),
      recipe(context, ResignRequest, ResignResponse, (request, call) => this.#resign(request, call)),
    );
    server.serverStream(path("Observe"), (call, bytes) => {
      if (!context.admit(call, "stream")) return;
      context.attempt(call, () => {
        const { name } = decodeRequest((input: Uint8Array) => LeaderRequest.decode(input), bytes);
        context.attemptLater(call, () => this.#observe(linePrefix(copyBytes(name)), call));
      });
    });
  }

  #clientOf(call: IdentifiedCall): LocalClient {
    return new LocalClient(this.#context, this.#hub, call);
  }

  async #campaign(request: CampaignRequest, call: UnaryCall): Promise<CampaignResponse> {
    const client = this.#clientOf(call);
    const prefix = linePrefix(copyBytes(request.name));
    const value = copyBytes(request.value);
    const lease = request.lease === 0n ? await client.grant(sessionTtlSeconds) : request.lease;
    const place = await enter(client, prefix, { lease, value });
    const leader: LeaderKey = {
      name: copyBytes(request.name),
      key: place.key,
      rev: BigInt(place.createRevision),
      lease,
    };
    if (place.existing !== undefined && !equalBytes(place.existing.value, value)) {
      await this.#proclaimAs(client, leader, value);
    }
    try {
      await waitForTurn(client, prefix, place.createRevision, waiting(call));
    } catch (error) {
      if (error instanceof CallerGone) await leave(client, place.key);
      throw error;
    }
    return { header: this.#context.coldHeader(place.revision), leader };
  }

  async #proclaim({ leader, value }: ProclaimRequest, call: UnaryCall): Promise<ProclaimResponse> {
    if (leader === undefined) throw new EtcdError("electionMissingLeader");
    const revision = await this.#proclaimAs(this.#clientOf(call), leader, copyBytes(value));
    return { header: this.#context.coldHeader(revision) };
  }

  async #proclaimAs(client: LocalClient, { key, rev, lease }: LeaderKey, value: Uint8Array): Promise<number> {
    const { succeeded, revision } = await client.txn([createRevisionIs(key, Number(rev))], [put(key, value, lease)]);
    if (!succeeded) throw new EtcdError("electionNotLeader");
    return revision;
  }

  async #leader({ name }: LeaderRequest, call: UnaryCall): Promise<LeaderResponse> {
    const { kvs, revision } = await this.#clientOf(call).range(firstOf(linePrefix(copyBytes(name))));
    if (kvs.length === 0) throw new EtcdError("electionNoLeader");
    return { header: this.#context.coldHeader(revision), kv: toMessage(kvs[0]) };
  }

  async #resign({ leader }: ResignRequest, call: UnaryCall): Promise<ResignResponse> {
    if (leader === undefined) throw new EtcdError("electionMissingLeader");
    const { key, rev } = leader;
    const remove = { kind: "deleteRange", deleteRange: { key, rangeEnd: new Uint8Array(0), prevKv: false } } as const;
    const { revision } = await this.#clientOf(call).txn([createRevisionIs(key, Number(rev))], [remove]);
    return { header: this.#context.coldHeader(revision) };
  }

  /** The leader of now (or the first one to come), then every change of leader or value. */
  async #observe(prefix: Uint8Array, call: StreamCall): Promise<void> {
    const client = this.#clientOf(call);
    const over = observing(call);
    const all = { key: prefix, rangeEnd: prefixEnd(prefix) };
    let shown: KeyValue | undefined;
    try {
      while (!over.cancelled) {
        const { kvs, revision } = await client.range(firstOf(prefix));
        const leader = kvs[0] as KeyValue | undefined;
        if (leader !== undefined && leader.modRevision !== shown?.modRevision) {
          shown = leader;
          const answer = { header: this.#context.coldHeader(revision), kv: toMessage(leader) };
          call.send(LeaderResponse.encode(answer).finish());
        }
        await client.waitForChange(all, revision + 1, over);
      }
    } catch (error) {
      failRecipe(call, error);
    }
  }
}

function waiting(call: UnaryCall): RecipeCall {
  return {
    get cancelled() {
      return call.cancelled;
    },
    onOver: (callback) => call.onCancel(callback),
  };
}

/** A stream ends once; the recipe waits many times. */
function observing(call: StreamCall): RecipeCall {
  let onOver: (() => void) | undefined;
  call.onClose(() => onOver?.());
  return {
    get cancelled() {
      return call.cancelled;
    },
    onOver(callback) {
      onOver = callback;
    },
  };
}

function toMessage(kv: KeyValue): LeaderResponse["kv"] {
  return {
    key: kv.key,
    createRevision: BigInt(kv.createRevision),
    modRevision: BigInt(kv.modRevision),
    version: BigInt(kv.version),
    value: kv.value,
    lease: kv.lease,
  };
}
