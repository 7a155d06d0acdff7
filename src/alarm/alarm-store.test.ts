import { expect, test } from "vitest";
import { AlarmType, decodeAlarmMember, encodeAlarmMember } from "./alarm-store.ts";

test("a row's key is the AlarmMember message, zero fields left out", () => {
  const hex = (memberId: bigint, alarm: number): string =>
    Buffer.from(encodeAlarmMember({ memberId, alarm })).toString("hex");
  expect(hex(0x1234n, AlarmType.NoSpace)).toBe("08b4241001");
  expect(hex(0n, AlarmType.Corrupt)).toBe("1002");
  expect(hex(0xffff_ffff_ffff_ffffn, AlarmType.None)).toBe("08ffffffffffffffffff01");
});

test("keys read back, and others are refused", () => {
  for (const member of [
    { memberId: 0n, alarm: 2 },
    { memberId: 0xdead_beef_dead_beefn, alarm: 1 },
  ]) {
    expect(decodeAlarmMember(encodeAlarmMember(member))).toEqual(member);
  }
  expect(() => decodeAlarmMember(Uint8Array.of(0x08, 0x80))).toThrow("not an AlarmMember");
  expect(() => decodeAlarmMember(Uint8Array.of(0x1a, 0x00))).toThrow("not an AlarmMember");
});
