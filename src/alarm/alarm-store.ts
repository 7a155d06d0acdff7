/**
 * Alarms that are raised: which member has run out of space, which one holds corrupt data. Replicated through the log
 * and kept in the `alarm` bucket, one row an alarm: the key is the encoded AlarmMember, the value empty.
 *
 *     AlarmMember: field 1 memberID (varint u64), field 2 alarm (varint); zero fields are left out
 *
 * Only the apply loop changes it. Source: etcd server/etcdserver/api/v3alarm/alarms.go.
 */
import { emptyBytes } from "../base/bytes.ts";
import { CorruptionError } from "../base/corruption.ts";
import type { Backend } from "../storage/backend/backend.ts";
import { buckets } from "../storage/backend/bucket.ts";

export const AlarmType = { None: 0, NoSpace: 1, Corrupt: 2 } as const;

export interface AlarmMember {
  /** 0n stands for the whole cluster. */
  readonly memberId: bigint;
  /** One of {@link AlarmType}; a client may have put any number here. */
  readonly alarm: number;
}

export class AlarmStore {
  readonly #backend: Backend;
  /** By type, then member. Small: members times types. */
  readonly #raised = new Map<number, Map<bigint, AlarmMember>>();

  private constructor(backend: Backend) {
    this.#backend = backend;
  }

  /** @throws {CorruptionError} when a row is not an AlarmMember. */
  static open(backend: Backend): AlarmStore {
    const store = new AlarmStore(backend);
    store.reload();
    return store;
  }

  /** Reads the alarms again: the database was replaced by that of a snapshot. @throws {CorruptionError} as `open`. */
  reload(): void {
    this.#raised.clear();
    this.#backend.range(buckets.alarm, emptyBytes, undefined, 0, (key) => {
      this.#add(decodeAlarmMember(key));
      return true;
    });
  }

  /** Whether any member has raised this alarm. */
  isRaised(alarm: number): boolean {
    return this.#raised.has(alarm);
  }

  /** Alarms of one type, or all with {@link AlarmType.None}; ascending by type, then member. */
  list(alarm: number = AlarmType.None): AlarmMember[] {
    const found: AlarmMember[] = [];
    for (const [type, members] of this.#raised) {
      if (alarm === AlarmType.None || alarm === type) found.push(...members.values());
    }
    return found.sort((a, b) => a.alarm - b.alarm || (a.memberId < b.memberId ? -1 : 1));
  }

  /** @returns the alarm, whether it is new or was raised before. */
  activate(memberId: bigint, alarm: number): AlarmMember {
    const known = this.#raised.get(alarm)?.get(memberId);
    if (known !== undefined) return known;
    const member = { memberId, alarm };
    this.#add(member);
    this.#backend.put(buckets.alarm, encodeAlarmMember(member), emptyBytes);
    return member;
  }

  /** @returns the alarm that was taken back; undefined when it was not raised. */
  deactivate(memberId: bigint, alarm: number): AlarmMember | undefined {
    const members = this.#raised.get(alarm);
    const known = members?.get(memberId);
    if (members === undefined || known === undefined) return undefined;
    members.delete(memberId);
    if (members.size === 0) this.#raised.delete(alarm);
    this.#backend.delete(buckets.alarm, encodeAlarmMember(known));
    return known;
  }

  #add(member: AlarmMember): void {
    const members = this.#raised.get(member.alarm);
    if (members === undefined) this.#raised.set(member.alarm, new Map([[member.memberId, member]]));
    else members.set(member.memberId, member);
  }
}

/** The row's key. */
export function encodeAlarmMember({ memberId, alarm }: AlarmMember): Uint8Array {
  const bytes: number[] = [];
  if (memberId !== 0n) pushVarint(bytes, 0x08, memberId);
  if (alarm !== AlarmType.None) pushVarint(bytes, 0x10, BigInt.asUintN(64, BigInt(alarm)));
  return Uint8Array.from(bytes);
}

function pushVarint(bytes: number[], tag: number, value: bigint): void {
  bytes.push(tag);
  let rest = value;
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

/** @throws {CorruptionError} when the bytes are not an AlarmMember. */
export function decodeAlarmMember(bytes: Uint8Array): AlarmMember {
  let memberId = 0n;
  let alarm = 0;
  let position = 0;
  const corrupt = (): CorruptionError => new CorruptionError({ path: "alarm" }, "a key is not an AlarmMember");
  while (position < bytes.length) {
    const tag = bytes[position++];
    let value = 0n;
    let shift = 0n;
    for (;;) {
      const byte = bytes.at(position++);
      if (byte === undefined || shift > 63n) throw corrupt();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
      shift += 7n;
    }
    if (tag === 0x08) memberId = BigInt.asUintN(64, value);
    else if (tag === 0x10) alarm = Number(BigInt.asIntN(32, value));
    else throw corrupt();
  }
  return { memberId, alarm };
}
