/** The health checks' view of a member. */
import { AlarmType } from "../alarm/alarm-store.ts";
import type { Member } from "../server/member.ts";
import type { RangeRequest } from "../wire/hot/types.ts";
import type { HealthSource } from "./health.ts";

const alarmNames: Readonly<Record<number, string>> = { [AlarmType.NoSpace]: "NOSPACE", [AlarmType.Corrupt]: "CORRUPT" };

/** Any one key: enough to know that reads work. */
const probe: RangeRequest = {
  key: new Uint8Array(1),
  rangeEnd: new Uint8Array(1),
  limit: 1,
  revision: 0,
  sortOrder: 0,
  sortTarget: 0,
  serializable: false,
  keysOnly: true,
  countOnly: false,
  minModRevision: 0,
  maxModRevision: 0,
  minCreateRevision: 0,
  maxCreateRevision: 0,
};

export function memberHealth(member: Member): HealthSource {
  const readLocally = (callback: (error: Error | undefined) => void): void => {
    try {
      member.store.range(probe);
    } catch (error) {
      callback(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    callback(undefined);
  };
  return {
    get hasLeader() {
      return member.raft.leaderId !== 0n;
    },
    get isLearner() {
      return member.raft.isLearner;
    },
    get alarms() {
      return member.alarms.list().map(({ alarm }) => alarmNames[alarm] ?? "UNKNOWN");
    },
    read(serializable, callback) {
      if (serializable) readLocally(callback);
      else member.readIndex((error) => (error === undefined ? readLocally(callback) : callback(error)));
    },
  };
}
