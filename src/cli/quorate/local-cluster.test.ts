import { expect, test } from "vitest";
import { memberFlags, parseLocalCluster, planMembers } from "./local-cluster.ts";

test("three members are the default; other counts that make no cluster are refused", () => {
  expect(parseLocalCluster([])).toEqual({ members: 3, basePort: 2379 });
  expect(parseLocalCluster(["--members", "5", "--base-port=100", "--data-dir=x"])).toEqual({
    members: 5,
    basePort: 100,
    dataDir: "x",
  });
  expect(() => parseLocalCluster(["--members=4"])).toThrow("--members must be 1, 3 or 5, not 4");
  expect(() => parseLocalCluster(["--base-port=x"])).toThrow("--base-port must be a port");
  expect(() => parseLocalCluster(["--member=3"])).toThrow("--member");
});

test("every member is told of all, and no port is used twice", () => {
  const members = planMembers(5, 2379, "/data");
  const ports = members.flatMap(({ endpoint, peerUrl }) => [endpoint, peerUrl]);
  expect(new Set(ports).size).toBe(10);
  expect(memberFlags(members[1], members.slice(0, 2))).toContain(
    "--initial-cluster=m1=http://127.0.0.1:2380,m2=http://127.0.0.1:2390",
  );
});
