/**
 * A member with its doors: binds the listeners, starts the member behind them, serves when it is ready, and stops in
 * etcd's order. The command line runs one of these a process.
 */
import type { HandledListener } from "../../grpc/calls.ts";
import { GrpcServer } from "../../grpc/server.ts";
import { HealthService, ServingStatus } from "../../grpc/health.ts";
import type { AccessRules } from "../../http/access.ts";
import { debugVarsPage } from "../../http/debug-vars.ts";
import { HealthCounters, healthPages } from "../../http/health.ts";
import { gatewayPage } from "../../http/gateway/gateway-page.ts";
import { gatewayUpgrade } from "../../http/gateway/websocket-bridge.ts";
import { memberHealth } from "../../http/member-health.ts";
import type { BackupCounters } from "../../http/metrics/backup-metrics.ts";
import { metricsPage } from "../../http/metrics/metrics-page.ts";
import { openFileLimit } from "../../http/metrics/runtime-metrics.ts";
import { pprofPage, pprofPrefix } from "../../http/pprof/pprof-pages.ts";
import type { Page } from "../../http/page.ts";
import { HttpServer } from "../../http/server.ts";
import { versionPage } from "../../http/version.ts";
import { formatVersion } from "../../membership/version.ts";
import { PeerServer } from "../../peer/server.ts";
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Platform } from "../../platform/platform.ts";
import type { Member } from "../../server/member.ts";
import { RequestLog } from "../../server/services/request-log.ts";
import { registerServices, type Services } from "../../server/services/register.ts";
import { startMember } from "../../server/start-member.ts";
import type { BackupScheduler } from "./backup/backup-scheduler.ts";
import { prepareBackups } from "./backup/prepare-backups.ts";
import { doorPlaces } from "./connection-limits.ts";
import { discoveryOf } from "./discovery-settings.ts";
import { gates, type GateName } from "./feature-gates.ts";
import type { FlagValues } from "./flags.ts";
import { ListenError, Listeners } from "./listeners.ts";
import { peerLocalAddressOf } from "./local-address.ts";
import { warnOfReadableTokenKey } from "./key-permissions.ts";
import { asError } from "./process-exit.ts";
import type { Settings } from "./settings.ts";
import { isSecureUrl, memberTls, type MemberTls } from "./tls-settings.ts";
import { Tracer } from "./tracing/tracer.ts";
import { etcdVersion, goArchitecture } from "./version.ts";

/** gRPC's own share on top of the largest request, as etcd. */
const grpcOverheadBytes = 512 * 1024;
/** How long running calls may take to end on a graceful stop before their connections are closed. */
const drainTimeoutMs = 5_000;

export interface RunOptions {
  readonly settings: Settings;
  readonly platform: Platform;
  /** The member stopped by itself and cannot go on. */
  readonly onFatal: (error: Error) => void;
  /** The cluster has removed the member: it must be stopped. */
  readonly onRemoved: () => void;
}

export interface RunningMember {
  readonly member: Member;
  /** Refuses new work, lets running calls end, makes everything durable. Idempotent. */
  stop(): Promise<void>;
  /** Ends every connection at once and makes nothing durable: for a member whose disk has died under it. */
  abandon(): void;
}

/**
 * Resolves when the member serves clients.
 *
 * @throws {ListenError} before anything is written, when a port cannot be had.
 * @throws {Error} when the data directory cannot be used.
 */
export async function runMember({ settings, platform, onFatal, onRemoved }: RunOptions): Promise<RunningMember> {
  const { values } = settings;
  const log = platform.log.withCaller("cli/etcd/run-member.ts");
  announceDataDirectory(settings, platform, log);
  warnOfReadableTokenKey(values, platform.disk, log);
  const doors = new Doors(platform, values, log);
  try {
    const tls = await memberTls(values, platform, log);
    await doors.bind(settings, tls, log);
    const peerLocalAddress = settings.gates.SetMemberLocalAddr ? peerLocalAddressOf(values, log) : undefined;
    const startBackups = await prepareBackups(settings.backup);
    log.info("starting an etcd server", effectiveConfiguration(settings));
    const config = { ...settings.member, ...discoveryOf(values, platform), peerTls: tls.peerDial, peerLocalAddress };
    const member = await startMember(config, platform);
    member.onFatal = onFatal;
    member.onRemoved = onRemoved;
    const tracer = Tracer.start(values, platform);
    const requestLog = new RequestLog({
      log: platform.log,
      clock: platform.clock,
      warnMs: settings.member.warningUnaryRequestDurationMs,
      warnReadMs: settings.member.warningApplyDurationMs,
    });
    const grpc = new GrpcServer({
      clock: platform.clock,
      maxReceiveBytes: values["max-request-bytes"] + grpcOverheadBytes,
      maxConcurrentStreams: values["max-concurrent-streams"],
      keepaliveMinTimeMs: values["grpc-keepalive-min-time"],
      keepaliveIntervalMs: values["grpc-keepalive-interval"],
      keepaliveTimeoutMs: values["grpc-keepalive-timeout"],
      measuresHandling: values.metrics === "extensive",
      onHandled: tracer === undefined ? requestLog.onHandled : both(requestLog.onHandled, tracer.onHandled),
    });
    const health = new HealthService();
    health.register(grpc);
    const services = registerServices(grpc, member, {
      onDefragment: onDefragment(settings, health, log),
      requestLog,
    });
    doors.openPeers(member, log);
    await member.whenReady();
    log.info("ready to serve client requests");
    const backups = startBackups?.(member);
    const pprof = values["enable-pprof"] ? await startPprof(platform, log) : undefined;
    doors.openClients({ settings, member, grpc, services, backups, pprof, log });
    return {
      member,
      stop: once(() => stop({ doors, grpc, health, member, backups, tracer, platform, log })),
      abandon() {
        void backups?.stop();
        void doors.close();
        grpc.close();
        doors.destroy();
      },
    };
  } catch (error) {
    await doors.close();
    doors.destroy();
    throw error;
  }
}

function both(one: HandledListener, other: HandledListener): HandledListener {
  return (call, code, tookMs) => {
    one(call, code, tookMs);
    other(call, code, tookMs);
  };
}

/** With the gate on, load balancers that look at the health service go elsewhere while the database is copied. */
function onDefragment({ gates: { StopGRPCServiceOnDefrag } }: Settings, health: HealthService, log: Logger) {
  return (isActive: boolean): void => {
    if (!StopGRPCServiceOnDefrag) return;
    health.setStatus("", isActive ? ServingStatus.notServing : ServingStatus.serving);
    const status = isActive ? "NOT_SERVING" : "SERVING";
    const fields = { service: "", status };
    if (isActive) log.warn("grpc service status changed", { ...fields, reason: "defrag is active" });
    else log.info("grpc service status changed", fields);
  };
}

interface ClientsContext {
  readonly settings: Settings;
  readonly member: Member;
  readonly grpc: GrpcServer;
  readonly services: Services;
  readonly backups: BackupCounters | undefined;
  /** What is below `/debug/pprof/`. */
  readonly pprof: Page | undefined;
  readonly log: Logger;
}

function startPprof({ clock }: Platform, log: Logger): Promise<Page> {
  log.info("pprof is enabled", { path: pprofPrefix.slice(0, -1) });
  return pprofPage(clock);
}

function featuresOf({ gates: values }: Settings): { name: string; stage: string; enabled: boolean }[] {
  return Object.entries(gates).map(([name, { stage }]) => ({ name, stage, enabled: values[name as GateName] }));
}

/** SO_REUSEADDR is always set: without it a member that restarts would wait for its former connections' ports. */
function socketOptions(values: FlagValues, log: Logger): { reusesPort: boolean } {
  const [reusesPort, reusesAddress] = [values["socket-reuse-port"], values["socket-reuse-address"]];
  if (reusesPort || reusesAddress) {
    log.info("configuring socket options", { "reuse-address": reusesAddress, "reuse-port": reusesPort });
  }
  return { reusesPort };
}

/** All sockets and HTTP servers of a member. */
class Doors {
  readonly #client: Listeners;
  readonly #clientHttp: Listeners;
  readonly #metrics: Listeners;
  readonly #peer: Listeners;
  readonly #httpServers: HttpServer[] = [];
  readonly #peerServer: PeerServer;

  constructor(platform: Platform, values: FlagValues, log: Logger) {
    const { clients, peers } = doorPlaces(openFileLimit(platform.disk), log);
    const options = socketOptions(values, log);
    this.#client = new Listeners(platform, clients, options);
    this.#clientHttp = new Listeners(platform, clients, options);
    this.#metrics = new Listeners(platform, clients, options);
    this.#peer = new Listeners(platform, peers, options);
    this.#peerServer = new PeerServer(platform);
  }

  async bind({ values }: Settings, { client: tls, peer: peerTls }: MemberTls, log: Logger): Promise<void> {
    const both = values["listen-client-urls"].find((url) => values["listen-client-http-urls"].includes(url));
    if (both !== undefined) {
      throw new ListenError(
        `cannot bind both --listen-client-urls and --listen-client-http-urls on the same url ${both}`,
      );
    }
    log.info("configuring peer listeners", { "listen-peer-urls": values["listen-peer-urls"] });
    for (const url of values["listen-peer-urls"]) {
      if (isSecureUrl(url) && peerTls === undefined) {
        const host = url.replace(/^\w+:\/\//, "");
        throw new ListenError(`cannot listen on TLS for ${host}: KeyFile and CertFile are not presented`);
      }
      if (url.startsWith("http:"))
        warnOfUnusedTls(
          { url, side: "peer", hasFiles: peerTls !== undefined, asksForCertificates: values["peer-client-cert-auth"] },
          log,
        );
      await this.#peer.bind(url, peerTls);
    }
    log.info("configuring client listeners", { "listen-client-urls": values["listen-client-urls"] });
    for (const [listeners, urls] of [
      [this.#client, values["listen-client-urls"]],
      [this.#clientHttp, values["listen-client-http-urls"]],
    ] as const) {
      for (const url of urls) {
        if (isSecureUrl(url) && tls === undefined) {
          throw new ListenError(
            `TLS key/cert (--cert-file, --key-file) must be provided for client url ${url} with HTTPS scheme`,
          );
        }
        if (!isSecureUrl(url))
          warnOfUnusedTls(
            { url, side: "client", hasFiles: tls !== undefined, asksForCertificates: values["client-cert-auth"] },
            log,
          );
        await listeners.bind(url, tls);
      }
    }
    for (const url of values["listen-metrics-urls"]) {
      if (isSecureUrl(url) && tls === undefined) {
        throw new ListenError("client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure url");
      }
      await this.#metrics.bind(url, tls);
    }
  }

  openPeers(member: Member, log: Logger): void {
    member.registerPeerEndpoints(this.#peerServer);
    this.#peer.serve({ peers: this.#peerServer });
    for (const address of this.#peer.addresses) log.info("serving peer traffic", { address: addressText(address) });
  }

  openClients(context: ClientsContext): void {
    const { settings, member, grpc, services, backups, pprof, log } = context;
    const { values } = settings;
    const asksGateway = values["enable-grpc-gateway"] && values["client-cert-auth"];
    const access: AccessRules = {
      cors: values.cors,
      hostWhitelist: values["host-whitelist"],
      namelessPath: () => (asksGateway && member.auth.isEnabled ? "/v3/" : undefined),
    };
    const health = new HealthCounters();
    const statusPages = healthPages(memberHealth(member), health, log.withCaller("http/health.ts"));
    const features = featuresOf(settings);
    const startedAt = member.platform.clock.now() - process.uptime() * 1000;
    statusPages.set("/metrics", metricsPage({ member, services, health, features, grpc, backups, startedAt }));
    const pages = new Map<string, Page>([
      ...statusPages,
      ["/version", versionPage(() => versions(member))],
      ["/debug/vars", debugVarsPage(member)],
    ]);
    const { clock } = member.platform;
    const gateway = { grpc, clock };
    const offersGateway = values["enable-grpc-gateway"];
    const http = new HttpServer({
      clock,
      pages,
      access,
      prefixes: [
        ...(offersGateway ? [["/v3/", gatewayPage(gateway)] as const] : []),
        ...(pprof === undefined ? [] : [[pprofPrefix, pprof] as const]),
      ],
      ...(offersGateway ? { upgrades: [["/v3/", gatewayUpgrade(gateway)]] } : {}),
    });
    const metrics = new HttpServer({ clock, pages: statusPages });
    this.#httpServers.push(http, metrics);
    const httpApart = values["listen-client-http-urls"].length > 0;
    this.#client.serve(httpApart ? { grpc } : { grpc, http });
    this.#clientHttp.serve({ grpc, http, takesCalls: false });
    this.#metrics.serve({ grpc, http: metrics, takesCalls: false });
    announce(this.#client, httpApart ? "grpc" : "grpc+http", log);
    announce(this.#clientHttp, "http", log);
    for (const address of this.#metrics.addresses) log.info("serving metrics", { address: addressText(address) });
  }

  /** Stops accepting. */
  async close(): Promise<void> {
    for (const http of this.#httpServers) http.close();
    await Promise.all([this.#client.close(), this.#clientHttp.close(), this.#metrics.close()]);
  }

  /** Ends what is still open. The peers were served to the last: leadership is handed over while the member stops. */
  destroy(): void {
    void this.#peer.close();
    this.#peerServer.close();
    for (const http of this.#httpServers) http.destroy();
  }
}

interface StopContext {
  readonly doors: Doors;
  readonly grpc: GrpcServer;
  readonly health: HealthService;
  readonly member: Member;
  readonly backups: BackupScheduler | undefined;
  readonly tracer: Tracer | undefined;
  readonly platform: Platform;
  readonly log: Logger;
}

async function stop({ doors, grpc, health, member, backups, tracer, platform, log }: StopContext): Promise<void> {
  const { name, dataDir, advertiseClientUrls, initialAdvertisePeerUrls } = member.config;
  const fields = {
    name,
    "data-dir": dataDir,
    "advertise-peer-urls": initialAdvertisePeerUrls,
    "advertise-client-urls": advertiseClientUrls,
  };
  log.info("closing etcd server", fields);
  health.shutdown();
  await backups?.stop();
  await doors.close();
  // Streams (watches) have no end of their own: what has not ended by then is closed.
  const timer = platform.clock.setTimer(() => grpc.close(), drainTimeoutMs);
  await grpc.drain();
  timer.cancel();
  await Promise.all([member.stop(), tracer?.stop()]);
  doors.destroy();
  log.info("closed etcd server", fields);
}

function announce(listeners: Listeners, traffic: string, log: Logger): void {
  for (const { address, isSecure } of listeners.doors) {
    const fields = { traffic, address: addressText(address) };
    if (isSecure) log.info("serving client traffic securely", fields);
    else log.info("serving client traffic insecurely; this is strongly discouraged!", fields);
  }
}

interface PlainUrl {
  readonly url: string;
  readonly side: "client" | "peer";
  readonly hasFiles: boolean;
  readonly asksForCertificates: boolean;
}

/** Certificates were given and this URL makes no use of them. */
function warnOfUnusedTls({ url, side, hasFiles, asksForCertificates }: PlainUrl, log: Logger): void {
  const fields = { [`${side}-url`]: url };
  const scheme = side === "peer" ? "scheme is HTTP" : "scheme is http or unix";
  if (hasFiles) log.warn(`${scheme} while key and cert files are present; ignoring key and cert files`, fields);
  if (!asksForCertificates) return;
  const flag = side === "peer" ? "--peer-client-cert-auth" : "--client-cert-auth";
  log.warn(`${scheme} while ${flag} is enabled; ignoring client cert auth for this URL`, fields);
}

function addressText(address: Listeners["addresses"][number]): string {
  if ("path" in address) return address.path;
  return address.host.includes(":") ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function versions(member: Member): { server: string; cluster: string | undefined; storage: string | undefined } {
  const { clusterVersion } = member.membership;
  return {
    server: etcdVersion,
    cluster: clusterVersion === undefined ? undefined : formatVersion(clusterVersion),
    storage: member.storageVersion,
  };
}

function announceDataDirectory({ values }: Settings, { disk }: Platform, log: Logger): void {
  const path = values["data-dir"];
  const names = listDirectory(disk, path);
  if (names.includes("proxy")) {
    if (names.includes("member")) throw new Error("invalid datadir; both member and proxy directories exist");
    throw new Error("v2 http proxy has already been deprecated in 3.6");
  }
  for (const name of names) {
    if (name !== "member" && name !== "fixtures") {
      log.warn("found invalid file under data directory", { filename: name, "data-dir": path });
    }
  }
  const isMember = names.includes("member");
  log.info(isMember ? "server has already been initialized" : "Initialize and start etcd server", {
    "data-dir": path,
    "dir-type": isMember ? "member" : "empty",
  });
}

function listDirectory(disk: Disk, path: string): string[] {
  try {
    return disk.exists(path) ? disk.list(path) : [];
  } catch (cause) {
    throw new Error(`failed to list data directory: ${asError(cause).message}`, { cause });
  }
}

function effectiveConfiguration({ values, member }: Settings): Record<string, unknown> {
  return {
    "etcd-version": etcdVersion,
    "git-sha": "quorate",
    "go-version": `node${process.versions.node}`,
    "go-os": process.platform,
    "go-arch": goArchitecture(),
    name: member.name,
    "data-dir": member.dataDir,
    "wal-dir": member.walDir ?? "",
    "force-new-cluster": member.forceNewCluster,
    "heartbeat-interval": `${member.heartbeatIntervalMs}ms`,
    "election-timeout": `${member.electionTimeoutMs}ms`,
    "initial-election-tick-advance": member.initialElectionTickAdvance,
    "snapshot-count": member.snapshotCount,
    "max-wals": member.maxWals,
    "max-snapshots": member.maxSnapshots,
    "snapshot-catchup-entries": member.snapshotCatchUpEntries,
    "initial-advertise-peer-urls": member.initialAdvertisePeerUrls,
    "listen-peer-urls": values["listen-peer-urls"],
    "advertise-client-urls": member.advertiseClientUrls,
    "listen-client-urls": values["listen-client-urls"],
    "listen-metrics-urls": values["listen-metrics-urls"],
    cors: values.cors,
    "host-whitelist": values["host-whitelist"],
    "initial-cluster": values["initial-cluster"],
    "initial-cluster-state": member.initialClusterState,
    "initial-cluster-token": member.initialClusterToken,
    "quota-backend-bytes": member.quotaBackendBytes,
    "max-request-bytes": member.maxRequestBytes,
    "max-concurrent-streams": values["max-concurrent-streams"],
    "pre-vote": member.preVote,
    "auto-compaction-mode": values["auto-compaction-mode"],
    "auto-compaction-retention": values["auto-compaction-retention"],
    "feature-gates": values["feature-gates"],
  };
}

function once(action: () => Promise<void>): () => Promise<void> {
  let result: Promise<void> | undefined;
  return () => (result ??= action());
}
