/** Where the core says what it does. The texts are etcd-io/raft's own, so operators and traces find them. */
export interface RaftLogger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}
