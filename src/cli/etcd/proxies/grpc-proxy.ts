/**
 * `etcd grpc-proxy start`.
 *
 * @see etcd server/etcdmain/grpc_proxy.go
 */
import { hostname } from "node:os";
import type { ChannelOptions, ClientSecurity } from "../../../client/channel.ts";
import { Client } from "../../../client/client.ts";
import { methods } from "../../../client/methods.ts";
import { codeName } from "../../../wire/errors.ts";
import { WatchCreateRequest } from "../../../wire/gen/etcdserverpb/rpc.ts";
import type { HandledListener } from "../../../grpc/calls.ts";
import { GrpcServer } from "../../../grpc/server.ts";
import { openFileLimit } from "../../../http/metrics/runtime-metrics.ts";
import { pprofPage, pprofPrefix } from "../../../http/pprof/pprof-pages.ts";
import type { Page } from "../../../http/page.ts";
import { HttpServer } from "../../../http/server.ts";
import { ConnectionPlaces } from "../../../platform/connection-places.ts";
import type { Platform } from "../../../platform/platform.ts";
import type { ServerTls } from "../../../platform/tls.ts";
import { discoverEndpoints } from "../../../proxy/discover-endpoints.ts";
import { GrpcProxy } from "../../../proxy/grpc/grpc-proxy.ts";
import { proxyPages } from "../../../proxy/grpc/pages.ts";
import { httpGet } from "../../../proxy/http-get.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { CommandFailure, messageOf } from "../../shared/failure.ts";
import type { FlagSet } from "../../shared/flags.ts";
import { ListenError, Listeners } from "../listeners.ts";
import { notifyReady } from "../notify.ts";
import { stopOnSignals } from "../process-exit.ts";
import { grpcProxyFlags } from "./grpc-proxy-flags.ts";
import { checkTlsFlags, listenTls, memberSecurity, ownSecurity, pageTls } from "./grpc-proxy-tls.ts";
import { listenAddress } from "./host-port.ts";
import { failedWith, proxyPlatform } from "./start.ts";

/** Until an endpoint has said something. */
const dialTimeoutMs = 5000;
/** gRPC's own limit, which Go's proxy leaves as it is. */
const maxReceiveBytes = 4 << 20;
/** For the process itself and its connections to members. */
const reservedFiles = 100;
/** How long running calls may take to end on a graceful stop. */
const drainTimeoutMs = 5000;
const ownReadTimeoutMs = 1000;
const ownWatchTimeoutMs = 3000;

export const grpcProxyCommand: Command = {
  name: "grpc-proxy",
  summary: "grpc-proxy related command",
  commands: [{ name: "start", summary: "start the grpc proxy", flags: grpcProxyFlags, run: startGrpcProxy }],
};

/** Runs until a signal ends the process. */
async function startGrpcProxy({ flags: given, terminal }: Invocation): Promise<never> {
  try {
    checkFlags(given);
    const platform = proxyPlatform(given.bool("debug") ? "debug" : "info", "cli/etcd/proxies/grpc-proxy.ts");
    await serve(given, platform);
  } catch (error) {
    if (error instanceof CommandFailure) throw error;
    throw failedWith(terminal, messageOf(error));
  }
  return new Promise<never>(() => undefined);
}

/** @throws {Error} with etcd's text. */
function checkFlags(given: FlagSet): void {
  const [prefix, ttl] = [given.text("resolver-prefix"), given.integer("resolver-ttl")];
  const advertised = given.text("advertise-client-url");
  if (prefix !== "" && ttl < 1n) throw new Error(`invalid resolver-ttl ${ttl}`);
  if (prefix === "" && ttl > 0n) throw new Error('invalid resolver-prefix ""');
  if (prefix !== "" && advertised === "") throw new Error('invalid advertise-client-url ""');
  checkTlsFlags(given);
  if (given.text("experimental-leasing-prefix") !== "") {
    throw new Error(
      "--experimental-leasing-prefix cannot be used: linearizable reads are always the members' to answer",
    );
  }
}

async function serve(given: FlagSet, platform: Platform): Promise<void> {
  const { log } = platform;
  const tls = await listenTls(given, platform);
  const doors = new Doors(given, platform, tls);
  await doors.bind();
  const security = memberSecurity(given, platform);
  const channel = await channelOptions(given, platform, security);
  if (security !== undefined) await platform.network.checkFiles({ ...security, log });
  const proxy = new GrpcProxy({
    platform,
    channel,
    namespace: given.text("namespace"),
    keepsOrder: given.bool("experimental-serializable-ordering"),
    advertised: given.text("advertise-client-url"),
    resolverPrefix: given.text("resolver-prefix"),
    resolverTtlSeconds: Number(given.integer("resolver-ttl")),
    hostname: hostname(),
    syncIntervalMs: given.duration("endpoints-auto-sync-interval"),
  });
  await proxy.start();
  const grpc = new GrpcServer({
    clock: platform.clock,
    maxReceiveBytes,
    maxConcurrentStreams: Math.min(Number(given.integer("max-concurrent-streams")), 0xffff_ffff),
    keepaliveMinTimeMs: given.duration("grpc-keepalive-min-time"),
    keepaliveIntervalMs: given.duration("grpc-keepalive-interval"),
    keepaliveTimeoutMs: given.duration("grpc-keepalive-timeout"),
    ...(given.bool("experimental-enable-grpc-logging") ? { onHandled: callLog(platform) } : {}),
  });
  proxy.register(grpc);
  const own = new OwnDoor(given, platform, tls);
  const page = security === undefined ? undefined : pageTls(security, platform);
  const pages = proxyPages({
    proxy,
    platform,
    grpc,
    startedAt: platform.clock.now() - process.uptime() * 1000,
    memberMetrics: () => {
      const { endpoints } = proxy;
      const endpoint = endpoints[Math.floor(platform.random.float() * endpoints.length)];
      return httpGet(endpoint, "/metrics", platform, page);
    },
    ownProblem: () => own.problem(),
  });
  const http = new HttpServer({ clock: platform.clock, pages, prefixes: await pprofPages(given, platform) });
  doors.serve(grpc, http, new HttpServer({ clock: platform.clock, pages }));
  log.info("started gRPC proxy", { address: given.text("listen-addr") });
  stopOnSignals(log, async () => {
    await doors.close();
    http.close();
    own.close();
    const timer = platform.clock.setTimer(() => grpc.close(), drainTimeoutMs);
    await grpc.drain();
    timer.cancel();
    await proxy.stop();
    log.info("stop listening gRPC proxy client requests", { address: given.text("listen-addr") });
  });
  notifyReady(log);
}

/** @throws {Error} by rejection, when DNS has no records. */
async function channelOptions(
  given: FlagSet,
  platform: Platform,
  security: ClientSecurity | undefined,
): Promise<ChannelOptions> {
  const discovery = {
    domain: given.text("discovery-srv"),
    serviceName: given.text("discovery-srv-name"),
    acceptsInsecure: given.bool("insecure-discovery"),
    caFile: given.text("cacert"),
  };
  const found = await discoverEndpoints(discovery, platform);
  const endpoints = found.length > 0 ? found.map(({ url }) => url) : given.list("endpoints");
  if (endpoints.length === 0) throw new Error("etcdclient: no available endpoints");
  const { network, clock, random, log } = platform;
  return {
    network,
    clock,
    random,
    log: log.withCaller("client/channel.ts"),
    endpoints,
    security,
    dialTimeoutMs,
    keepaliveTimeMs: given.duration("dial-keepalive-time"),
    keepaliveTimeoutMs: given.duration("dial-keepalive-timeout"),
    pingsWithoutCalls: given.bool("permit-without-stream"),
    maxSendBytes: Math.max(0, Number(given.integer("max-send-bytes"))),
    maxReceiveBytes: Math.max(0, Number(given.integer("max-recv-bytes"))),
  };
}

async function pprofPages(given: FlagSet, { clock, log }: Platform): Promise<(readonly [string, Page])[]> {
  if (!given.bool("enable-pprof")) return [];
  log.info("gRPC proxy enabled pprof", { path: pprofPrefix.slice(0, -1) });
  return [[pprofPrefix, await pprofPage(clock)]];
}

/** `--experimental-enable-grpc-logging`: every call, but not what is in it, which may be secret. */
function callLog({ log }: Platform): HandledListener {
  return ({ method }, code, tookMs) => {
    log.info("finished gRPC call", { "grpc.method": method.path, "grpc.code": codeName(code), "grpc.time_ms": tookMs });
  };
}

/** The ports that the proxy serves. */
class Doors {
  readonly #given: FlagSet;
  readonly #log: Platform["log"];
  readonly #tls: ServerTls | undefined;
  readonly #clients: Listeners;
  readonly #metrics: Listeners;

  constructor(given: FlagSet, platform: Platform, tls: ServerTls | undefined) {
    this.#given = given;
    this.#log = platform.log;
    this.#tls = tls;
    const limit = openFileLimit(platform.disk);
    const max = Math.max(1, (limit > 0 ? limit : Number.MAX_SAFE_INTEGER) - reservedFiles);
    const places = new ConnectionPlaces(max, () => {
      this.#log.warn("too many connections of clients; closing further ones", { "connections-limit": max });
    });
    this.#clients = new Listeners(platform, places);
    this.#metrics = new Listeners(platform, places);
  }

  /** @throws {Error} with Go's text, by rejection. */
  async bind(): Promise<void> {
    const address = this.#given.text("listen-addr");
    listenAddress(address);
    if (this.#tls !== undefined && (this.#tls.certFile === "" || this.#tls.keyFile === "")) {
      const { certFile, keyFile } = this.#tls;
      throw new Error(`KeyFile and CertFile must both be present[key: ${keyFile}, cert: ${certFile}]`);
    }
    await this.#clients.bind(`${this.#tls === undefined ? "http" : "https"}://${address}`, this.#tls);
    this.#log.info("listening for gRPC proxy client requests", { address });
    const metrics = this.#given.text("metrics-addr");
    if (metrics === "") return;
    const isSecure = metrics.startsWith("https://");
    if (isSecure && this.#tls === undefined) {
      const host = metrics.replace(/^\w+:\/\//, "");
      throw new ListenError(`cannot listen on TLS for ${host}: KeyFile and CertFile are not presented`);
    }
    await this.#metrics.bind(metrics, this.#tls);
    this.#log.info("gRPC proxy listening for metrics", { address: metrics });
  }

  serve(grpc: GrpcServer, http: HttpServer, metrics: HttpServer): void {
    this.#clients.serve({ grpc, http });
    this.#metrics.serve({ grpc, http: metrics, takesCalls: false });
    if (this.#given.text("metrics-addr") !== "") this.#log.info("gRPC proxy server metrics URL serving");
  }

  async close(): Promise<void> {
    await Promise.all([this.#clients.close(), this.#metrics.close()]);
  }
}

/** The proxy as its clients see it, by the address that they are told. */
class OwnDoor {
  readonly #client: Client | undefined;

  constructor(given: FlagSet, { network, clock, random, log }: Platform, tls: ServerTls | undefined) {
    const advertised = given.text("advertise-client-url");
    if (advertised === "") return;
    const isSelfMade = given.text("cert-file") === "";
    this.#client = new Client({
      network,
      clock,
      random,
      log: log.withCaller("client/client.ts"),
      endpoints: [advertised],
      security: tls === undefined ? undefined : ownSecurity(tls, isSelfMade),
      dialTimeoutMs,
      keepaliveTimeMs: 0,
      keepaliveTimeoutMs: 0,
      maxSendBytes: 0,
      maxReceiveBytes: 0,
    });
  }

  /** What is wrong; undefined: nothing, as far as a read and a watch show. */
  async problem(): Promise<string | undefined> {
    const client = this.#client;
    if (client === undefined) return "no connection to proxy";
    try {
      await client.call(methods.range, { key: Buffer.from("a") }, { timeoutMs: ownReadTimeoutMs });
    } catch (error) {
      const text = messageOf(error);
      if (text !== "etcdserver: permission denied") return `GET ERROR:${text}`;
    }
    return this.#watchProblem(client);
  }

  async #watchProblem(client: Client): Promise<string | undefined> {
    try {
      const stream = await client.open(methods.watch, { timeoutMs: ownWatchTimeoutMs });
      await stream.send({ createRequest: WatchCreateRequest.create({ key: Buffer.from("a") }) });
      const { done } = await stream[Symbol.asyncIterator]().next();
      stream.cancel();
      return done === true ? "WATCH TIMEOUT" : undefined;
    } catch {
      return "WATCH TIMEOUT";
    }
  }

  close(): void {
    this.#client?.close();
  }
}
