/** Users and roles in a cluster of three members of ours. */
import { afterEach, test } from "vitest";
import { checkUsersInCluster } from "../support/auth-cluster.ts";
import { TestCluster } from "../support/cluster.ts";

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.close();
});

test("what one member was told of users, and the tokens it gives, hold at once at every other", async () => {
  cluster = await TestCluster.found([undefined, undefined, undefined], ["--bcrypt-cost=4"]);
  await checkUsersInCluster(cluster);
});
