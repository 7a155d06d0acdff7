/** `quorate/testing`: an etcd, or a cluster of them, inside a test. */
export { type ClusterMember, type ClusterOptions, startCluster, type TestCluster } from "./cluster.ts";
export { type EtcdOptions, startEtcd, type TestEtcd } from "./etcd.ts";
export { type Change, type Entry, TestClient, type WatchOptions } from "./test-client.ts";
export { methods } from "../client/methods.ts";
