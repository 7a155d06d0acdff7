/**
 * The member cannot start with what it was told or found: a fifth cousin of the operational errors, for the operator
 * instead of a client. The program logs it at level `fatal` and exits with 1. Texts are etcd's where etcd has one.
 */
export class StartError extends Error {
  override readonly name = "StartError";
}
