/** Raises this member's NOSPACE alarm through the log, once, however many requests ask for it at a time. */
import { type AlarmStore, AlarmType } from "../alarm/alarm-store.ts";
import type { Logger } from "../platform/logger.ts";
import { AlarmRequest, AlarmRequest_AlarmAction as AlarmAction } from "../wire/gen/etcdserverpb/rpc.ts";
import type { RequestKind } from "../wire/hot/raft-request.ts";
import type { ProposalCallback } from "./member.ts";

export interface SpaceAlarmParts {
  readonly memberId: bigint;
  readonly alarms: AlarmStore;
  readonly quotaBytes: number;
  readonly log: Logger;
  readonly propose: (kind: RequestKind, request: Uint8Array, callback: ProposalCallback) => void;
}

export class SpaceAlarm {
  readonly #parts: SpaceAlarmParts;
  #waiting: (() => void)[] | undefined;

  constructor(parts: SpaceAlarmParts) {
    this.#parts = parts;
  }

  /** Calls back when the alarm is raised, or could not be; at once when it is raised already. */
  raise(callback: () => void): void {
    const { memberId, alarms, quotaBytes, log, propose } = this.#parts;
    if (alarms.isRaised(AlarmType.NoSpace)) return callback();
    if (this.#waiting !== undefined) {
      this.#waiting.push(callback);
      return;
    }
    const waiting = [callback];
    this.#waiting = waiting;
    log.warn("message exceeded backend quota; raising alarm", { "quota-size-bytes": quotaBytes });
    const request = { action: AlarmAction.ACTIVATE, memberID: memberId, alarm: AlarmType.NoSpace };
    propose("alarm", AlarmRequest.encode(request).finish(), () => {
      this.#waiting = undefined;
      for (const waiter of waiting) waiter();
    });
  }
}
