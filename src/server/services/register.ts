/** All gRPC services of a member, on one server. */
import type { GrpcServer } from "../../grpc/server.ts";
import { WatchHub } from "../../mvcc/watch/watch-hub.ts";
import type { Member } from "../member.ts";
import { AuthService } from "./auth.ts";
import { ClusterService } from "./cluster.ts";
import { ElectionService } from "./election.ts";
import { KvService } from "./kv.ts";
import { LeaderGuard } from "./leader-guard.ts";
import { LeaseService } from "./lease.ts";
import { LockService } from "./lock.ts";
import { MaintenanceService } from "./maintenance.ts";
import { ServiceContext } from "./service-context.ts";
import { tokenGate } from "./token-gate.ts";
import type { RequestLog } from "./request-log.ts";
import type { ServiceMetrics } from "./service-metrics.ts";
import { WatchService } from "./watch.ts";

/** What the services know that the metrics want. */
export interface Services {
  readonly hub: WatchHub;
  /** `unary 3.6` → calls. */
  readonly clientRequests: ReadonlyMap<string, number>;
  readonly metrics: ServiceMetrics;
  /** Asks for the revision of users and roles. */
  authRevision(): number;
  /** Reads that took longer than `--warning-apply-duration`. */
  slowReads(): number;
}

export interface ServiceOptions {
  /** Told when a defragmentation begins (true) and ends (false). */
  readonly onDefragment?: (isActive: boolean) => void;
  /** Keeps the count of slow reads; the same that the server tells of its calls. */
  readonly requestLog?: RequestLog;
}

/** Registers every method of the etcd 3.6 API and connects the watch hub to the store. */
export function registerServices(server: GrpcServer, member: Member, options: ServiceOptions = {}): Services {
  const context = new ServiceContext(member);
  const hub = new WatchHub(member.store);
  member.store.onCommit = (main, changes) => hub.onCommit(main, changes);
  member.onCongested = (isCongested) => server.holdWindows(isCongested);
  member.onReloaded = (revision) => hub.resync(revision);
  driveInTurns(hub, member);
  const guard = new LeaderGuard(member);
  const methods = tokenGate(server, member, context.callers);
  new KvService(context).register(methods);
  new WatchService(context, hub, guard).register(methods);
  new LeaseService(context, guard).register(methods);
  new ClusterService(context).register(methods);
  new MaintenanceService(context, options.onDefragment).register(methods);
  new AuthService(context).register(methods);
  new LockService(context, hub).register(methods);
  new ElectionService(context, hub).register(methods);
  const { clientRequests, metrics } = context;
  const slowReads = (): number => options.requestLog?.slowReads ?? 0;
  return { hub, clientRequests, metrics, authRevision: () => member.auth.revision, slowReads };
}

/** Watches that are behind and have no room are looked at again after this; etcd's period. */
const retryMs = 100;

/**
 * Watches that catch up read a slice of history in each turn of the loop, so that nothing else is late. A stream that drains
 * says so, but a watch may also wait for the queues of others.
 */
function driveInTurns(hub: WatchHub, { platform }: Member): void {
  let isScheduled = false;
  const run = (): void => {
    isScheduled = false;
    if (hub.step()) schedule();
    else if (hub.slowWatcherCount > 0) retry();
  };
  let isRetrying = false;
  const retry = (): void => {
    if (isRetrying) return;
    isRetrying = true;
    platform.clock.setTimer(() => {
      isRetrying = false;
      schedule();
    }, retryMs);
  };
  const schedule = (): void => {
    if (isScheduled) return;
    isScheduled = true;
    platform.clock.nextTurn(run);
  };
  hub.onWork = schedule;
}
