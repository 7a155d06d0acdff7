import { expect, test } from "vitest";
import { MemberTable } from "./member-table.ts";
import { decodeOldStore, encodeOldStore } from "./old-store.ts";

const started = {
  id: 0xb8566d766c1e8ea1n,
  peerUrls: ["http://127.0.0.1:2380"],
  isLearner: false,
  name: "solo",
  clientUrls: ["http://127.0.0.1:2379"],
};
const learner = { id: 0x1fn, peerUrls: ["http://127.0.0.1:1"], isLearner: true, name: "", clientUrls: [] };

test("members, removed ids and the cluster version come back from the payload", () => {
  const payload = encodeOldStore(new MemberTable([started, learner], [7n, 0xabcn]), { major: 3, minor: 6, patch: 0 });
  const store = decodeOldStore(payload);
  expect(store.table.list()).toEqual([learner, started]);
  expect(store.table.removedIds()).toEqual([7n, 0xabcn]);
  expect(store.clusterVersion).toEqual({ major: 3, minor: 6, patch: 0 });
  expect(store.foreignPaths).toEqual([]);
});

test("the payload has etcd's paths and values", () => {
  const payload = encodeOldStore(new MemberTable([started]), undefined);
  const json = JSON.parse(Buffer.from(payload).toString("utf8"));
  const directory = json.Root.Children["0"].Children.members.Children.b8566d766c1e8ea1;
  expect(directory.Path).toBe("/0/members/b8566d766c1e8ea1");
  expect(directory.Children.attributes.Value).toBe('{"name":"solo","clientURLs":["http://127.0.0.1:2379"]}');
  expect(directory.Children.raftAttributes.Value).toBe('{"peerURLs":["http://127.0.0.1:2380"]}');
  expect(directory.Children.raftAttributes.Children).toBe(null);
  expect(json.Root.Children["1"].Children).toEqual({});
});

test("what etcd writes around the tree does not disturb", () => {
  const tree = (children: unknown): unknown => ({ Path: "/", CreatedIndex: 0, Value: "", Children: children });
  const text = JSON.stringify({
    Root: tree({ "0": tree({ version: { ...(tree(null) as object), Value: "3.5.0" } }), "1": tree({}) }),
    WatcherHub: { EventHistory: { Queue: { Events: [null, null] }, StartIndex: 0 } },
    CurrentIndex: 14,
    Stats: { getsSuccess: 0 },
    CurrentVersion: 2,
  });
  expect(decodeOldStore(Buffer.from(text)).clusterVersion).toEqual({ major: 3, minor: 5, patch: 0 });
});

test("keys from before 3.0 are named, empty remains of old authentication are not", () => {
  const tree = (children: unknown): unknown => ({ Path: "/", Value: "", Children: children });
  const store = (root: unknown): Uint8Array => Buffer.from(JSON.stringify({ Root: tree(root) }));
  expect(decodeOldStore(store({ "1": tree({ foo: tree(null) }) })).foreignPaths).toEqual(["/1/foo"]);
  expect(decodeOldStore(store({ "2": tree({ roles: tree({}), enabled: tree(null) }) })).foreignPaths).toEqual([]);
  expect(decodeOldStore(store({ "2": tree({ roles: tree({ r: tree(null) }) }) })).foreignPaths).toEqual(["/2/roles"]);
});
