import { expect, test } from "vitest";
import { type ConfChange, ConfChangeType } from "../wire/raft/types.ts";
import { confChangeContextToJson, type Member } from "./member.ts";
import { MemberTable } from "./member-table.ts";

const member = (id: bigint, changes: Partial<Member> = {}): Member => ({
  id,
  peerUrls: [`http://m${id}:2380`],
  isLearner: false,
  name: "",
  clientUrls: [],
  ...changes,
});

function change(type: ConfChangeType, subject: Member, isPromote = false): ConfChange {
  const context = Buffer.from(confChangeContextToJson({ member: subject, isPromote }), "utf8");
  return { id: 7n, type, nodeId: subject.id, context };
}

const { AddNode, RemoveNode, UpdateNode, AddLearnerNode } = ConfChangeType;

test("members are added once, under URLs of their own", () => {
  const table = new MemberTable();
  const added = change(AddNode, member(1n));
  expect(table.validate(added, 1)).toBeUndefined();
  table.apply(added);
  expect(table.validate(added, 1)).toBe("memberExists");
  expect(table.validate(change(AddNode, member(2n, { peerUrls: ["http://m1:2380"] })), 1)).toBe("peerUrlExists");
  expect(table.list()).toEqual([member(1n)]);
});

test("a removed id never comes back", () => {
  const table = new MemberTable([member(1n), member(2n)]);
  table.apply(change(RemoveNode, member(2n)));
  expect(table.removedIds()).toEqual([2n]);
  expect(table.validate(change(AddNode, member(2n)), 1)).toBe("memberNotFound");
  expect(table.validate(change(RemoveNode, member(2n)), 1)).toBe("memberNotFound");
});

test("learners are limited, and only learners are promoted", () => {
  const table = new MemberTable([member(1n)]);
  const learner = member(2n, { isLearner: true });
  expect(table.validate(change(AddLearnerNode, learner), 0)).toBe("tooManyLearners");
  expect(table.validate(change(AddLearnerNode, learner), 1)).toBeUndefined();
  table.apply(change(AddLearnerNode, learner));
  expect(table.voters().map((voter) => voter.id)).toEqual([1n]);
  expect(table.validate(change(AddLearnerNode, member(3n, { isLearner: true })), 1)).toBe("tooManyLearners");
  const promotion = change(AddNode, learner, true);
  expect(table.validate(promotion, 1)).toBeUndefined();
  expect(table.apply(promotion)).toEqual(member(2n));
  expect(table.validate(promotion, 1)).toBe("memberNotLearner");
  expect(table.validate(change(AddNode, member(9n), true), 1)).toBe("memberNotFound");
});

test("an update replaces the peer URLs and nothing else", () => {
  const table = new MemberTable([member(1n, { name: "a", clientUrls: ["http://a"], isLearner: true }), member(2n)]);
  expect(table.validate(change(UpdateNode, member(1n, { peerUrls: ["http://m2:2380"] })), 1)).toBe("peerUrlExists");
  expect(table.validate(change(UpdateNode, member(3n)), 1)).toBe("memberNotFound");
  table.apply(change(UpdateNode, member(1n, { peerUrls: ["http://new:2380"] })));
  expect(table.get(1n)).toEqual({
    ...member(1n, { name: "a", clientUrls: ["http://a"], isLearner: true }),
    peerUrls: ["http://new:2380"],
  });
});
