/**
 * The payload of a restored member's `.snap` file: the old (v2) store as it looks right after its members were created
 * in it, in order of their ids. etcd 3.5 writes it byte for byte like this; 3.6 writes the same but for one counter, and
 * the members in chance order. (A member's own snapshots hold the tree alone: src/membership/old-store.ts.)
 *
 *     {"Root": tree, "WatcherHub": {the creations, in a ring of 1000}, "CurrentIndex": n, "Stats": ..., "CurrentVersion": 2}
 */
import { assert } from "../../../base/assert.ts";
import { quote } from "../../../membership/json.ts";
import { formatId, type Member, raftAttributesToJson } from "../../../membership/member.ts";

/** Events that etcd's store remembers. */
const eventsMax = 1000;

/** Go's zero time: the node never expires. */
const permanent = "0001-01-01T00:00:00Z";

const counters = [
  "getsSuccess",
  "getsFail",
  "setsSuccess",
  "setsFail",
  "deleteSuccess",
  "deleteFail",
  "updateSuccess",
  "updateFail",
  "createSuccess",
  "createFail",
  "compareAndSwapSuccess",
  "compareAndSwapFail",
  "compareAndDeleteSuccess",
  "compareAndDeleteFail",
  "expireCount",
  "watchers",
];

/** @param members - ascending by id; none of them a learner. */
export function encodeNewStore(members: readonly Member[]): Uint8Array {
  assert(members.length < eventsMax, "a cluster has fewer members than the store keeps events");
  const count = members.length;
  const creations = members.map((member, index) => ({
    id: formatId(member.id),
    path: `/0/members/${formatId(member.id)}`,
    value: quote(raftAttributesToJson(member)),
    index: index + 1,
  }));
  const children = creations.map(({ id, path, value, index }): [string, string] => {
    const attributes = node(`${path}/raftAttributes`, index, value, "null");
    return [id, directory(path, index, [["raftAttributes", attributes]])];
  });
  // Go writes maps in the order of their keys as text.
  children.sort(([a], [b]) => (a < b ? -1 : 1));
  const root = directory("/", 0, [
    ["0", directory("/0", 0, [["members", directory("/0/members", 1, children)]])],
    ["1", directory("/1", 0, [])],
  ]);
  const events = creations.map(
    ({ path, value, index }) =>
      `{"action":"create","node":{"key":"${path}/raftAttributes","value":${value},` +
      `"modifiedIndex":${index},"createdIndex":${index}}}`,
  );
  const ring = Array.from({ length: eventsMax }, (_, at) => events[at] ?? "null").join(",");
  const queue = `{"Events":[${ring}],"Size":${count},"Front":0,"Back":${count},"Capacity":${eventsMax}}`;
  const history = `{"Queue":${queue},"StartIndex":1,"LastIndex":${count}}`;
  const stats = counters.map((name) => `"${name}":${name === "createSuccess" ? count : 0}`).join(",");
  return Buffer.from(
    `{"Root":${root},"WatcherHub":{"EventHistory":${history}},"CurrentIndex":${count},"Stats":{${stats}},"CurrentVersion":2}`,
    "utf8",
  );
}

function directory(path: string, index: number, children: readonly (readonly [string, string])[]): string {
  return node(path, index, '""', `{${children.map(([name, child]) => `"${name}":${child}`).join(",")}}`);
}

/** @param value - JSON. @param children - JSON; `null` for a file. */
function node(path: string, index: number, value: string, children: string): string {
  return (
    `{"Path":"${path}","CreatedIndex":${index},"ModifiedIndex":${index},"ExpireTime":"${permanent}",` +
    `"Value":${value},"Children":${children}}`
  );
}
