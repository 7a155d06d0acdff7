/** The etcd version that the tools stand for, which scripts read from their output. */
export const etcdVersion = "3.6.14";
export const apiVersion = "3.6";
