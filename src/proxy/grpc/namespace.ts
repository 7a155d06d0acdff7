/**
 * `--namespace`: all keys of the proxy's clients get a prefix on their way to the members and lose it on the way back.
 * Locks and elections, which are keys, are in it as well; Go's proxy leaves these outside.
 *
 * @see etcd client/v3/namespace
 */
import { equalBytes, prefixEnd } from "../../base/bytes.ts";
import { EtcdError } from "../../wire/errors.ts";
import * as rpc from "../../wire/gen/etcdserverpb/rpc.ts";
import type { MessageFns } from "../../wire/gen/etcdserverpb/rpc.ts";
import type { Event, KeyValue } from "../../wire/gen/mvccpb/kv.ts";
import * as election from "../../wire/gen/v3electionpb/v3election.ts";
import * as lock from "../../wire/gen/v3lockpb/v3lock.ts";
import type { Rewrite } from "./forward.ts";
import { isOpen, type KeyRange } from "./key-range.ts";

export class Namespace {
  readonly #prefix: Uint8Array;
  /** First key behind the namespace. */
  readonly #end: Uint8Array;
  /** How to change calls that are otherwise sent on as they are, by path. */
  readonly rewrites: ReadonlyMap<string, Rewrite>;

  constructor(prefix: Uint8Array) {
    this.#prefix = prefix;
    this.#end = prefixEnd(prefix);
    this.rewrites = this.#createRewrites();
  }

  key(key: Uint8Array): Uint8Array {
    return Buffer.concat([this.#prefix, key]);
  }

  /** @throws {EtcdError} `emptyKey`: the members would not see that it is. */
  range<R extends KeyRange>(range: R): R {
    if (range.key.length === 0) throw new EtcdError("emptyKey");
    return { ...range, key: this.key(range.key), rangeEnd: this.#rangeEnd(range.rangeEnd) };
  }

  /** For a watch: an empty key is one like any other. */
  watchRange({ key, rangeEnd }: KeyRange): KeyRange {
    return { key: this.key(key), rangeEnd: this.#rangeEnd(rangeEnd) };
  }

  rangeResponse(response: rpc.RangeResponse): rpc.RangeResponse {
    return { ...response, kvs: response.kvs.map((kv) => this.stripped(kv)) };
  }

  put(request: rpc.PutRequest): rpc.PutRequest {
    if (request.key.length === 0) throw new EtcdError("emptyKey");
    return { ...request, key: this.key(request.key) };
  }

  putResponse(response: rpc.PutResponse): rpc.PutResponse {
    return { ...response, prevKv: response.prevKv === undefined ? undefined : this.stripped(response.prevKv) };
  }

  deleteResponse(response: rpc.DeleteRangeResponse): rpc.DeleteRangeResponse {
    return { ...response, prevKvs: response.prevKvs.map((kv) => this.stripped(kv)) };
  }

  txn({ compare, success, failure }: rpc.TxnRequest): rpc.TxnRequest {
    return {
      compare: compare.map((each) => ({
        ...each,
        key: this.key(each.key),
        rangeEnd: this.#rangeEnd(each.rangeEnd),
      })),
      success: success.map((each) => this.#op(each)),
      failure: failure.map((each) => this.#op(each)),
    };
  }

  txnResponse(response: rpc.TxnResponse): rpc.TxnResponse {
    return { ...response, responses: response.responses.map((each) => this.#opResponse(each)) };
  }

  event(event: Event): Event {
    const { kv, prevKv } = event;
    return {
      ...event,
      kv: kv === undefined ? undefined : this.stripped(kv),
      prevKv: prevKv === undefined ? undefined : this.stripped(prevKv),
    };
  }

  stripped(kv: KeyValue): KeyValue {
    return { ...kv, key: this.#strip(kv.key) };
  }

  /** Keys of the namespace without their prefix; others, which a lease of another client may have, are left out. */
  ownKeys(keys: readonly Uint8Array[]): Uint8Array[] {
    const size = this.#prefix.length;
    return keys
      .filter((key) => key.length >= size && equalBytes(key.subarray(0, size), this.#prefix))
      .map((key) => this.#strip(key));
  }

  #strip(key: Uint8Array): Uint8Array {
    return key.subarray(this.#prefix.length);
  }

  #rangeEnd(end: Uint8Array): Uint8Array {
    if (end.length === 0) return end;
    return isOpen(end) ? this.#end : this.key(end);
  }

  #op(op: rpc.RequestOp): rpc.RequestOp {
    if (op.requestRange !== undefined) return { requestRange: this.range(op.requestRange) };
    if (op.requestPut !== undefined) return { requestPut: this.put(op.requestPut) };
    if (op.requestDeleteRange !== undefined) return { requestDeleteRange: this.range(op.requestDeleteRange) };
    if (op.requestTxn !== undefined) return { requestTxn: this.txn(op.requestTxn) };
    return op;
  }

  #opResponse(op: rpc.ResponseOp): rpc.ResponseOp {
    if (op.responseRange !== undefined) return { responseRange: this.rangeResponse(op.responseRange) };
    if (op.responsePut !== undefined) return { responsePut: this.putResponse(op.responsePut) };
    if (op.responseDeleteRange !== undefined)
      return { responseDeleteRange: this.deleteResponse(op.responseDeleteRange) };
    if (op.responseTxn !== undefined) return { responseTxn: this.txnResponse(op.responseTxn) };
    return op;
  }

  #createRewrites(): Map<string, Rewrite> {
    const leaderKey = (leader: election.LeaderKey): election.LeaderKey => ({
      ...leader,
      name: this.key(leader.name),
      key: this.key(leader.key),
    });
    const named = <Request extends { name: Uint8Array }>(request: Request): Request => ({
      ...request,
      name: this.key(request.name),
    });
    const led = <Request extends { leader: election.LeaderKey | undefined }>(request: Request): Request =>
      request.leader === undefined ? request : { ...request, leader: leaderKey(request.leader) };
    const seen = (response: election.LeaderResponse): election.LeaderResponse =>
      response.kv === undefined ? response : { ...response, kv: this.stripped(response.kv) };
    return new Map([
      [
        "/etcdserverpb.Lease/LeaseTimeToLive",
        rewriting(rpc.LeaseTimeToLiveRequest, rpc.LeaseTimeToLiveResponse, unchanged, (response) => ({
          ...response,
          keys: this.ownKeys(response.keys),
        })),
      ],
      [
        "/v3lockpb.Lock/Lock",
        rewriting(lock.LockRequest, lock.LockResponse, named, (response) => ({
          ...response,
          key: this.#strip(response.key),
        })),
      ],
      [
        "/v3lockpb.Lock/Unlock",
        rewriting(
          lock.UnlockRequest,
          lock.UnlockResponse,
          (request) => ({ ...request, key: this.key(request.key) }),
          unchanged,
        ),
      ],
      [
        "/v3electionpb.Election/Campaign",
        rewriting(election.CampaignRequest, election.CampaignResponse, named, (response) => ({
          ...response,
          leader:
            response.leader === undefined
              ? undefined
              : {
                  ...response.leader,
                  name: this.#strip(response.leader.name),
                  key: this.#strip(response.leader.key),
                },
        })),
      ],
      ["/v3electionpb.Election/Leader", rewriting(election.LeaderRequest, election.LeaderResponse, named, seen)],
      ["/v3electionpb.Election/Observe", rewriting(election.LeaderRequest, election.LeaderResponse, named, seen)],
      [
        "/v3electionpb.Election/Proclaim",
        rewriting(election.ProclaimRequest, election.ProclaimResponse, led, unchanged),
      ],
      ["/v3electionpb.Election/Resign", rewriting(election.ResignRequest, election.ResignResponse, led, unchanged)],
    ]);
  }
}

function unchanged<Message>(message: Message): Message {
  return message;
}

function rewriting<Request, Response>(
  requestType: MessageFns<Request>,
  responseType: MessageFns<Response>,
  request: (message: Request) => Request,
  response: (message: Response) => Response,
): Rewrite {
  return {
    request: (bytes) => requestType.encode(request(requestType.decode(bytes))).finish(),
    response: (bytes) => responseType.encode(response(responseType.decode(bytes))).finish(),
  };
}
