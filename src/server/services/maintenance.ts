/** `etcdserverpb.Maintenance`: alarms, status, hashes, defragmentation, snapshots. */
import { AlarmType } from "../../alarm/alarm-store.ts";
import type { StreamCall, UnaryCall } from "../../grpc/calls.ts";
import { formatMinor, formatVersion, isOlderMinor, parseVersion, serverVersion } from "../../membership/version.ts";
import { hashIgnores } from "../../storage/backend/schema.ts";
import type { Logger } from "../../platform/logger.ts";
import { EtcdError } from "../../wire/errors.ts";
import {
  AlarmRequest,
  AlarmRequest_AlarmAction,
  AlarmResponse,
  DefragmentRequest,
  DefragmentResponse,
  DowngradeRequest,
  DowngradeRequest_DowngradeAction,
  DowngradeResponse,
  HashKVRequest,
  HashKVResponse,
  HashRequest,
  HashResponse,
  MoveLeaderRequest,
  MoveLeaderResponse,
  StatusRequest,
  StatusResponse,
} from "../../wire/gen/etcdserverpb/rpc.ts";
import { DowngradeInfoSetRequest } from "../../wire/gen/membershippb/membership.ts";
import type { ServiceContext } from "./service-context.ts";
import { sendSnapshot } from "./snapshot-stream.ts";
import type { MethodRegistry } from "./token-gate.ts";

/** Rows hashed in one turn of the loop; a few milliseconds. */
const hashRowsPerTurn = 5000;

const alarmNames: Readonly<Record<number, string>> = { 0: "NONE", 1: "NOSPACE", 2: "CORRUPT" };

export class MaintenanceService {
  readonly #context: ServiceContext;
  readonly #onDefragment: ((isActive: boolean) => void) | undefined;
  readonly #log: Logger;

  /** @param onDefragment - told when a defragmentation begins (true) and ends (false). */
  constructor(context: ServiceContext, onDefragment?: (isActive: boolean) => void) {
    this.#context = context;
    this.#onDefragment = onDefragment;
    this.#log = context.member.platform.log.withCaller("server/services/maintenance.ts");
  }

  register(server: MethodRegistry): void {
    const context = this.#context;
    const path = (method: string): string => `/etcdserverpb.Maintenance/${method}`;
    server.unary(
      path("Alarm"),
      context.unary(AlarmRequest, AlarmResponse, (request, reply, call) => this.#alarm(request, reply, call)),
    );
    server.unary(
      path("Status"),
      context.unary(StatusRequest, StatusResponse, (_request, reply) => reply(this.#status())),
    );
    server.unary(
      path("Defragment"),
      context.unary(DefragmentRequest, DefragmentResponse, async (_request, reply) => {
        await this.#defragment();
        reply({ header: undefined });
      }),
    );
    server.unary(
      path("Hash"),
      context.unary(HashRequest, HashResponse, async (_request, reply) => {
        const { clock } = context.member.platform;
        const startedMs = clock.monotonic();
        const hash = await context.member.backend.hash(hashIgnores);
        context.metrics.hashSeconds.observe((clock.monotonic() - startedMs) / 1000);
        reply({ header: context.coldHeader(), hash });
      }),
    );
    server.unary(
      path("HashKV"),
      context.unary(HashKVRequest, HashKVResponse, (request, reply, call) => this.#hashKv(request, reply, call)),
    );
    server.unary(
      path("MoveLeader"),
      context.unary(MoveLeaderRequest, MoveLeaderResponse, async ({ targetID }, reply) => {
        await context.member.moveLeader(targetID);
        reply({ header: undefined });
      }),
    );
    server.unary(
      path("Downgrade"),
      context.unary(DowngradeRequest, DowngradeResponse, (request, reply, call) =>
        this.#downgrade(request, reply, call),
      ),
    );
    server.serverStream(path("Snapshot"), (call) => {
      if (context.admit(call, "stream")) context.attemptLater(call, () => this.#snapshot(call));
    });
  }

  async #defragment(): Promise<void> {
    this.#log.info("starting defragment");
    this.#onDefragment?.(true);
    try {
      await this.#context.member.backend.defragment();
    } catch (error) {
      this.#log.warn("failed to defragment", { error });
      throw error;
    } finally {
      this.#onDefragment?.(false);
    }
    this.#log.info("finished defragment");
  }

  #alarm(request: AlarmRequest, reply: (answer: AlarmResponse) => void, call: UnaryCall): void {
    const { member } = this.#context;
    const { action } = request;
    if (action < AlarmRequest_AlarmAction.GET || action > AlarmRequest_AlarmAction.DEACTIVATE) {
      throw new EtcdError("unknownMethod");
    }
    if (action === AlarmRequest_AlarmAction.GET) this.#context.callers.require(call);
    else this.#context.callers.requireAdmin(call);
    member.propose(
      "alarm",
      AlarmRequest.encode(request).finish(),
      this.#context.settle(call, "alarm", ({ alarms }) =>
        reply({
          header: this.#context.coldHeader(),
          alarms: alarms.map(({ memberId, alarm }) => ({ memberID: memberId, alarm: alarm as never })),
        }),
      ),
    );
  }

  #status(): StatusResponse {
    const { member } = this.#context;
    const { raft, backend, membership, quota } = member;
    const errors: string[] = [];
    if (raft.leaderId === 0n) errors.push(new EtcdError("noLeader").message);
    for (const { memberId, alarm } of member.alarms.list()) errors.push(alarmText(memberId, alarm));
    return {
      header: this.#context.coldHeader(),
      version: formatVersion(serverVersion),
      dbSize: BigInt(backend.size),
      leader: raft.leaderId,
      raftIndex: BigInt(raft.commitIndex),
      raftTerm: BigInt(raft.term),
      raftAppliedIndex: BigInt(raft.appliedIndex),
      errors,
      dbSizeInUse: BigInt(backend.sizeInUse),
      isLearner: raft.isLearner,
      storageVersion: member.storageVersion ?? "",
      dbSizeQuota: Number.isFinite(quota.limitBytes) ? BigInt(quota.limitBytes) : -1n,
      downgradeInfo: membership.downgrade,
    };
  }

  #hashKv(request: HashKVRequest, reply: (answer: HashKVResponse) => void, call: UnaryCall): void {
    const { member } = this.#context;
    const revision = Number(request.revision);
    const { clock } = member.platform;
    const startedMs = clock.monotonic();
    const job = member.store.hashKv(revision);
    const step = (): void => {
      if (call.cancelled) return job.close();
      if (!job.step(hashRowsPerTurn)) return clock.nextTurn(step);
      this.#context.metrics.hashRevisionSeconds.observe((clock.monotonic() - startedMs) / 1000);
      const { hash, compactRevision, revision: hashRevision } = job.result;
      reply({
        header: this.#context.coldHeader(),
        hash,
        compactRevision: BigInt(compactRevision),
        hashRevision: BigInt(hashRevision),
      });
    };
    step();
  }

  #downgrade(request: DowngradeRequest, reply: (answer: DowngradeResponse) => void, call: UnaryCall): void {
    const { member } = this.#context;
    const { clusterVersion, downgrade } = member.membership;
    const { VALIDATE, ENABLE, CANCEL } = DowngradeRequest_DowngradeAction;
    const { action } = request;
    if (action !== VALIDATE && action !== ENABLE && action !== CANCEL) throw new EtcdError("unknownMethod");
    if (clusterVersion === undefined) throw new EtcdError("clusterVersionUnavailable");
    const answer = (): void => reply({ header: this.#context.coldHeader(), version: formatMinor(clusterVersion) });
    if (action === CANCEL) return this.#setDowngrade({ enabled: false, ver: "" }, call, answer);
    const target = /^\d+\.\d+(\.\d+)?$/.test(request.version)
      ? parseVersion(request.version.split(".").length === 2 ? `${request.version}.0` : request.version)
      : undefined;
    if (target === undefined) throw new EtcdError("wrongDowngradeVersionFormat");
    const isOneMinorBelow =
      target.major === clusterVersion.major &&
      isOlderMinor(target, clusterVersion) &&
      target.minor + 1 === clusterVersion.minor;
    if (!isOneMinorBelow) throw new EtcdError("invalidDowngradeTargetVersion");
    if (downgrade.enabled) throw new EtcdError("downgradeInProcess");
    if (action === VALIDATE) return answer();
    this.#setDowngrade({ enabled: true, ver: `${target.major}.${target.minor}.0` }, call, answer);
  }

  #setDowngrade(info: DowngradeInfoSetRequest, call: UnaryCall, answer: () => void): void {
    this.#context.member.propose(
      "downgradeInfoSet",
      DowngradeInfoSetRequest.encode(info).finish(),
      this.#context.settle(call, "downgradeInfoSet", answer),
    );
  }

  /** The database file as it is now, then its SHA-256 as one more blob. Waits for the client after every chunk it does not take. */
  async #snapshot(call: StreamCall): Promise<void> {
    const { member } = this.#context;
    const log = this.#log;
    const image = await member.backend.snapshot();
    const started = member.platform.clock.monotonic();
    log.info("sending database snapshot to client", { "total-bytes": image.size });
    let isOver = false;
    let wake: (() => void) | undefined;
    call.onClose(() => {
      isOver = true;
      wake?.();
    });
    call.onDrain(() => wake?.());
    try {
      await sendSnapshot(image, member.storageVersion ?? "", {
        async send(parts) {
          const size = parts.reduce((sum, part) => sum + part.length, 0);
          if (call.sendParts(parts, size) || isOver) return;
          await new Promise<void>((resolve) => (wake = resolve));
        },
        get isOver() {
          return isOver;
        },
      });
      if (isOver) return;
      call.end();
      const tookMs = member.platform.clock.monotonic() - started;
      member.backend.metrics.snapshotSeconds.observe(tookMs / 1000);
      log.info("sent database snapshot to client", {
        "total-bytes": image.size,
        "took-ms": Math.round(tookMs),
      });
    } finally {
      image.close();
    }
  }
}

/** One alarm in the text form of protobuf, as Go prints it in `Status.errors`, trailing blank included. */
function alarmText(memberId: bigint, alarm: number): string {
  const member = memberId === 0n ? "" : `memberID:${memberId} `;
  return `${member}${alarm === AlarmType.None ? "" : `alarm:${alarmNames[alarm] ?? alarm} `}`;
}
