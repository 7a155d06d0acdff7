/**
 * `etcd grpc-proxy`: serves etcd's API to clients and asks the members. Reads that may be a little old come from a cache,
 * watches and renewals of many clients become few at the members.
 *
 * @see etcd server/proxy/grpcproxy
 */
import type { ChannelOptions } from "../../client/channel.ts";
import { Client } from "../../client/client.ts";
import { methods } from "../../client/methods.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import type { Timer } from "../../platform/clock.ts";
import type { Platform } from "../../platform/platform.ts";
import { reasons } from "../../wire/errors.ts";
import { memberList, memberListPath } from "./cluster.ts";
import { forwardStream, forwardUnary, grpcErrorOf } from "./forward.ts";
import { registerKeepAlive } from "./keep-alive.ts";
import { KvProxy } from "./kv.ts";
import { Namespace } from "./namespace.ts";
import { RangeCache } from "./range-cache.ts";
import { Registration } from "./registration.ts";
import { Upstream } from "./upstream.ts";
import { registerWatch } from "./watch.ts";
import { WatchHub } from "./watch-hub.ts";

/** For the reading of the members' list. */
const syncTimeoutMs = 5000;
/** Pause between attempts to read where order is kept from. */
const orderRetryMs = 1000;
/** For a read that shows whether the members serve. */
const healthTimeoutMs = 1000;

export interface GrpcProxyOptions {
  readonly platform: Platform;
  /** How members are reached. */
  readonly channel: ChannelOptions;
  /** `--namespace`; empty: none. */
  readonly namespace: string;
  /** `--experimental-serializable-ordering`. */
  readonly keepsOrder: boolean;
  readonly advertised: string;
  /** Empty: the proxy is not registered. */
  readonly resolverPrefix: string;
  readonly resolverTtlSeconds: number;
  readonly hostname: string;
  /** How often the members' list is read to learn of new ones; 0: never. */
  readonly syncIntervalMs: number;
}

/** What is sent on without a look at it, or changed for the namespace alone. */
const forwarded: Readonly<Record<string, string>> = {
  "etcdserverpb.Lease": "LeaseGrant LeaseRevoke LeaseTimeToLive LeaseLeases",
  "etcdserverpb.Cluster": "MemberAdd MemberRemove MemberUpdate MemberPromote",
  "etcdserverpb.Maintenance": "Alarm Status Defragment Hash HashKV MoveLeader Downgrade",
  "etcdserverpb.Auth":
    "AuthEnable AuthDisable AuthStatus Authenticate " +
    "UserAdd UserGet UserList UserDelete UserChangePassword UserGrantRole UserRevokeRole " +
    "RoleAdd RoleGet RoleList RoleDelete RoleGrantPermission RoleRevokePermission",
  "v3electionpb.Election": "Campaign Proclaim Leader Resign",
  "v3lockpb.Lock": "Lock Unlock",
};

export class GrpcProxy {
  readonly cache: RangeCache;
  readonly watches: WatchHub;
  readonly #options: GrpcProxyOptions;
  readonly #upstream: Upstream;
  readonly #kv: KvProxy;
  readonly #namespace: Namespace | undefined;
  readonly #registration: Registration | undefined;
  /** For what the proxy asks for itself. */
  readonly #client: Client | undefined;
  #syncing: Timer | undefined;

  constructor(options: GrpcProxyOptions) {
    this.#options = options;
    const { platform, channel, keepsOrder, resolverPrefix, syncIntervalMs } = options;
    const { clock } = platform;
    this.#namespace = options.namespace === "" ? undefined : new Namespace(Buffer.from(options.namespace));
    this.#upstream = new Upstream(channel);
    this.cache = new RangeCache(() => clock.monotonic());
    this.#kv = new KvProxy(this.#upstream, { namespace: this.#namespace, keepsOrder, cache: this.cache });
    this.watches = new WatchHub(this.#upstream, clock, this.#namespace);
    this.#client = resolverPrefix !== "" || syncIntervalMs > 0 ? new Client(channel) : undefined;
    this.#registration = this.#createRegistration();
  }

  /** Endpoints of the members. */
  get endpoints(): readonly string[] {
    return this.#upstream.endpoints;
  }

  register(server: GrpcServer): void {
    const rewrites = this.#namespace?.rewrites;
    this.#kv.register(server);
    registerWatch(server, this.watches);
    registerKeepAlive(server, this.#upstream, this.#options.platform.clock);
    for (const [service, names] of Object.entries(forwarded)) {
      for (const name of names.split(" ")) {
        const path = `/${service}/${name}`;
        server.unary(path, forwardUnary(this.#upstream, path, rewrites?.get(path)));
      }
    }
    for (const path of ["/etcdserverpb.Maintenance/Snapshot", "/v3electionpb.Election/Observe"]) {
      server.serverStream(path, forwardStream(this.#upstream, path, rewrites?.get(path)));
    }
    const { advertised, hostname } = this.#options;
    const proxies = () => this.#registration?.proxies ?? [];
    server.unary(memberListPath, memberList(this.#upstream, { advertised, hostname, proxies }));
  }

  /** Resolves when clients may come: with order kept, once it is known which revision they must see at least. */
  async start(): Promise<void> {
    if (this.#options.keepsOrder) await this.#readOrder();
    this.#registration?.start();
    const { syncIntervalMs, platform } = this.#options;
    if (syncIntervalMs > 0) this.#syncing = platform.clock.setTicker(() => void this.#sync(), syncIntervalMs);
  }

  async stop(): Promise<void> {
    this.#syncing?.cancel();
    await this.#registration?.stop();
    this.#client?.close();
    this.#upstream.close();
  }

  /** What is wrong with the members; undefined: nothing, as far as a read shows. */
  async problem(): Promise<string | undefined> {
    try {
      await this.#kv.probe(healthTimeoutMs, this.#options.platform.clock.monotonic());
      return undefined;
    } catch (error) {
      const { message } = grpcErrorOf(error);
      return message === reasons.permissionDenied.message ? undefined : `GET ERROR:${message}`;
    }
  }

  #createRegistration(): Registration | undefined {
    const { platform, resolverPrefix: prefix, advertised, resolverTtlSeconds, hostname } = this.#options;
    if (prefix === "" || this.#client === undefined) return undefined;
    return new Registration({
      client: this.#client,
      log: platform.log.withCaller("proxy/grpc/registration.ts"),
      namespace: this.#namespace,
      prefix,
      address: advertised,
      ttlSeconds: resolverTtlSeconds,
      hostname,
    });
  }

  async #readOrder(): Promise<void> {
    const { log, clock } = this.#options.platform;
    log.info("waiting for linearized read from cluster to recover ordering");
    for (;;) {
      const problem = await this.problem();
      if (problem === undefined) return;
      log.warn("ordering recovery failed, retrying in 1s", { error: problem });
      await new Promise<void>((resolve) => clock.setTimer(resolve, orderRetryMs));
    }
  }

  async #sync(): Promise<void> {
    const { log } = this.#options.platform;
    try {
      const { members = [] } =
        (await this.#client?.call(methods.memberList, { linearizable: true }, { timeoutMs: syncTimeoutMs })) ?? {};
      const found = members.filter(({ name, isLearner }) => name !== "" && !isLearner).flatMap((one) => one.clientURLs);
      const isNew = found.length !== this.endpoints.length || found.some((url) => !this.endpoints.includes(url));
      if (found.length > 0 && isNew) this.#upstream.useEndpoints(found);
    } catch (error) {
      log.info("Auto sync endpoints failed.", { error: error as Error });
    }
  }
}
