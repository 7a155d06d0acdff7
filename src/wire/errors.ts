/**
 * Operational errors: what a client may be told. Clients compare the message text, so every text is etcd's, byte for byte.
 *
 * One table ({@link reasons}) maps a reason to its gRPC code and message; {@link EtcdError} carries a reason through the
 * layers. Branch on `reason`, never on the text. Sources: etcd api/v3rpc/rpctypes/error.go,
 * server/etcdserver/errors/errors.go, server/auth/store.go and the map in server/etcdserver/api/v3rpc/util.go; codes as
 * of etcd 3.6. Reasons whose code is `Unknown` are those etcd forgets to map (or maps to a plain error), kept so.
 */

/** gRPC status codes. */
export const Code = {
  OK: 0,
  Canceled: 1,
  Unknown: 2,
  InvalidArgument: 3,
  DeadlineExceeded: 4,
  NotFound: 5,
  AlreadyExists: 6,
  PermissionDenied: 7,
  ResourceExhausted: 8,
  FailedPrecondition: 9,
  Aborted: 10,
  OutOfRange: 11,
  Unimplemented: 12,
  Internal: 13,
  Unavailable: 14,
  DataLoss: 15,
  Unauthenticated: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** Name of a status code as Go prints it; `Code(n)` for one that is not defined. */
export function codeName(code: number): string {
  for (const [name, value] of Object.entries(Code)) if (value === code) return name;
  return `Code(${code})`;
}

interface Reason {
  readonly code: Code;
  /** The whole text, or its fixed start when the reason takes a detail. */
  readonly message: string;
}

export const reasons = {
  // Key-value
  emptyKey: { code: Code.InvalidArgument, message: "etcdserver: key is not provided" },
  keyNotFound: { code: Code.InvalidArgument, message: "etcdserver: key not found" },
  valueProvided: { code: Code.InvalidArgument, message: "etcdserver: value is provided" },
  leaseProvided: { code: Code.InvalidArgument, message: "etcdserver: lease is provided" },
  tooManyOps: { code: Code.InvalidArgument, message: "etcdserver: too many operations in txn request" },
  duplicateKey: { code: Code.InvalidArgument, message: "etcdserver: duplicate key given in txn request" },
  invalidSortOption: { code: Code.InvalidArgument, message: "etcdserver: invalid sort option" },
  invalidClientApiVersion: { code: Code.InvalidArgument, message: "etcdserver: invalid client api version" },
  requestTooLarge: { code: Code.InvalidArgument, message: "etcdserver: request is too large" },
  compacted: { code: Code.OutOfRange, message: "etcdserver: mvcc: required revision has been compacted" },
  futureRevision: { code: Code.OutOfRange, message: "etcdserver: mvcc: required revision is a future revision" },
  noSpace: { code: Code.ResourceExhausted, message: "etcdserver: mvcc: database space exceeded" },
  tooManyRequests: { code: Code.Unknown, message: "etcdserver: too many requests" },
  corrupt: { code: Code.DataLoss, message: "etcdserver: corrupt cluster" },

  // Lease and watch
  leaseNotFound: { code: Code.NotFound, message: "etcdserver: requested lease not found" },
  leaseExists: { code: Code.FailedPrecondition, message: "etcdserver: lease already exists" },
  leaseTtlTooLarge: { code: Code.OutOfRange, message: "etcdserver: too large lease TTL" },
  watchCanceled: { code: Code.Canceled, message: "etcdserver: watch canceled" },
  notPrimaryLessor: { code: Code.Unknown, message: "not a primary lessor" },

  // Cluster
  memberBadUrls: { code: Code.InvalidArgument, message: "etcdserver: given member URLs are invalid" },
  memberNotFound: { code: Code.NotFound, message: "etcdserver: member not found" },
  memberExists: { code: Code.FailedPrecondition, message: "etcdserver: member ID already exist" },
  peerUrlExists: { code: Code.FailedPrecondition, message: "etcdserver: Peer URLs already exists" },
  memberNotLearner: { code: Code.FailedPrecondition, message: "etcdserver: can only promote a learner member" },
  learnerNotReady: {
    code: Code.FailedPrecondition,
    message: "etcdserver: can only promote a learner member which is in sync with leader",
  },
  tooManyLearners: { code: Code.FailedPrecondition, message: "etcdserver: too many learner members in cluster" },
  notEnoughStartedMembers: {
    code: Code.Unknown,
    message: "etcdserver: re-configuration failed due to not enough started members",
  },
  unhealthy: { code: Code.Unavailable, message: "etcdserver: unhealthy cluster" },
  clusterIdMismatch: { code: Code.FailedPrecondition, message: "etcdserver: cluster ID mismatch" },

  // Maintenance
  notLeader: { code: Code.FailedPrecondition, message: "etcdserver: not leader" },
  badLeaderTransferee: { code: Code.FailedPrecondition, message: "etcdserver: bad leader transferee" },
  timeoutLeaderTransfer: {
    code: Code.Unknown,
    message: "etcdserver: request timed out, leader transfer took too long",
  },
  wrongDowngradeVersionFormat: {
    code: Code.InvalidArgument,
    message: "etcdserver: wrong downgrade target version format",
  },
  invalidDowngradeTargetVersion: {
    code: Code.InvalidArgument,
    message: "etcdserver: invalid downgrade target version",
  },
  clusterVersionUnavailable: {
    code: Code.FailedPrecondition,
    message: "etcdserver: cluster version not found during downgrade",
  },
  downgradeInProcess: {
    code: Code.FailedPrecondition,
    message: "etcdserver: cluster has a downgrade job in progress",
  },
  noInflightDowngrade: { code: Code.FailedPrecondition, message: "etcdserver: no inflight downgrade job" },
  unknownMethod: { code: Code.Unknown, message: "etcdserver: unknown method" },
  rangeStreamSortOrder: { code: Code.Unimplemented, message: "RangeStream does not support custom sort orders" },
  rangeStreamRevisionFilter: { code: Code.Unimplemented, message: "RangeStream does not support revision filters" },

  // Auth, as clients see it
  authNotEnabled: { code: Code.FailedPrecondition, message: "etcdserver: authentication is not enabled" },
  rootUserNotExist: { code: Code.FailedPrecondition, message: "etcdserver: root user does not exist" },
  rootRoleNotExist: { code: Code.FailedPrecondition, message: "etcdserver: root user does not have root role" },
  authFailed: {
    code: Code.InvalidArgument,
    message: "etcdserver: authentication failed, invalid user ID or password",
  },
  noPasswordUser: {
    code: Code.Unknown,
    message: "auth: authentication failed, password was given for no password user",
  },
  userEmpty: { code: Code.InvalidArgument, message: "etcdserver: user name is empty" },
  invalidAuthToken: { code: Code.Unauthenticated, message: "etcdserver: invalid auth token" },
  authOldRevision: { code: Code.InvalidArgument, message: "etcdserver: revision of auth store is old" },
  permissionDenied: { code: Code.PermissionDenied, message: "etcdserver: permission denied" },
  userAlreadyExists: { code: Code.FailedPrecondition, message: "etcdserver: user name already exists" },
  userNotFound: { code: Code.FailedPrecondition, message: "etcdserver: user name not found" },
  roleAlreadyExists: { code: Code.FailedPrecondition, message: "etcdserver: role name already exists" },
  roleNotFound: { code: Code.FailedPrecondition, message: "etcdserver: role name not found" },
  roleEmpty: { code: Code.InvalidArgument, message: "etcdserver: role name is empty" },
  roleNotGranted: { code: Code.FailedPrecondition, message: "etcdserver: role is not granted to the user" },
  permissionNotGranted: {
    code: Code.FailedPrecondition,
    message: "etcdserver: permission is not granted to the role",
  },
  permissionNotGiven: { code: Code.InvalidArgument, message: "etcdserver: permission not given" },
  invalidAuthManagement: { code: Code.InvalidArgument, message: "etcdserver: invalid auth management" },
  passwordTooLong: { code: Code.Unknown, message: "bcrypt: password length exceeds 72 bytes" },
  verifyOnlyKey: { code: Code.Unknown, message: "auth: token signing attempted with verify-only key" },

  // Auth, texts of the inside: logs, start-up, and cases that etcd leaves unmapped
  internalRootUserNotExist: { code: Code.Unknown, message: "auth: root user does not exist" },
  internalRootRoleNotExist: { code: Code.Unknown, message: "auth: root user does not have root role" },
  internalUserAlreadyExists: { code: Code.Unknown, message: "auth: user already exists" },
  internalUserEmpty: { code: Code.Unknown, message: "auth: user name is empty" },
  internalUserNotFound: { code: Code.Unknown, message: "auth: user not found" },
  internalRoleAlreadyExists: { code: Code.Unknown, message: "auth: role already exists" },
  internalRoleNotFound: { code: Code.Unknown, message: "auth: role not found" },
  internalRoleEmpty: { code: Code.Unknown, message: "auth: role name is empty" },
  internalPermissionNotGiven: { code: Code.Unknown, message: "auth: permission not given" },
  internalAuthFailed: { code: Code.Unknown, message: "auth: authentication failed, invalid user ID or password" },
  internalPermissionDenied: { code: Code.Unknown, message: "auth: permission denied" },
  internalRoleNotGranted: { code: Code.Unknown, message: "auth: role is not granted to the user" },
  internalPermissionNotGranted: { code: Code.Unknown, message: "auth: permission is not granted to the role" },
  internalAuthNotEnabled: { code: Code.Unknown, message: "auth: authentication is not enabled" },
  internalAuthOldRevision: { code: Code.Unknown, message: "auth: revision in header is old" },
  internalInvalidAuthToken: { code: Code.Unknown, message: "auth: invalid auth token" },
  internalInvalidAuthOptions: { code: Code.Unknown, message: "auth: invalid auth options" },
  internalInvalidAuthManagement: { code: Code.Unknown, message: "auth: invalid auth management" },
  internalInvalidAuthMethod: { code: Code.Unknown, message: "auth: invalid auth signature method" },
  internalMissingKey: { code: Code.Unknown, message: "auth: missing key data" },
  internalKeyMismatch: { code: Code.Unknown, message: "auth: public and private keys don't match" },

  // Cluster state and availability
  noLeader: { code: Code.Unavailable, message: "etcdserver: no leader" },
  leaderChanged: { code: Code.Unavailable, message: "etcdserver: leader changed" },
  stopped: { code: Code.Unavailable, message: "etcdserver: server stopped" },
  timeout: { code: Code.Unavailable, message: "etcdserver: request timed out" },
  timeoutDueToLeaderFail: {
    code: Code.Unavailable,
    message: "etcdserver: request timed out, possibly due to previous leader failure",
  },
  timeoutDueToConnectionLost: {
    code: Code.Unavailable,
    message: "etcdserver: request timed out, possibly due to connection lost",
  },
  timeoutWaitAppliedIndex: {
    code: Code.Unavailable,
    message: "etcdserver: request timed out, waiting for the applied index took too long",
  },
  notCapable: { code: Code.FailedPrecondition, message: "etcdserver: not capable" },
  notSupportedForLearner: { code: Code.FailedPrecondition, message: "etcdserver: rpc not supported for learner" },
  requestCancelled: { code: Code.Unknown, message: "etcdserver: request cancelled" },
  contextCanceled: { code: Code.Canceled, message: "context canceled" },
  contextDeadlineExceeded: { code: Code.DeadlineExceeded, message: "context deadline exceeded" },

  // Made by the gRPC layer; those that end in a blank take a detail: `new EtcdError("unmarshalling", { detail })`
  messageTooLarge: { code: Code.ResourceExhausted, message: "grpc: received message larger than max " },
  unknownService: { code: Code.Unimplemented, message: "unknown service " },
  unknownServiceMethod: { code: Code.Unimplemented, message: "unknown method " },
  unmarshalling: { code: Code.Internal, message: "grpc: error unmarshalling request: " },
  healthUnknownService: { code: Code.NotFound, message: "unknown service" },

  // Lock and election services, whose inner client's errors reach the caller unmapped
  recipeLeaseNotFound: { code: Code.Unknown, message: "etcdserver: requested lease not found" },
  recipeEmptyKey: { code: Code.Unknown, message: "etcdserver: key is not provided" },
  electionNoLeader: { code: Code.Unknown, message: "election: no leader" },
  electionNotLeader: { code: Code.Unknown, message: "election: not leader" },
  electionMissingLeader: { code: Code.Unknown, message: '"leader" field must be provided' },
  mutexSessionExpired: { code: Code.Unknown, message: "mutex: session is expired" },
  lostWatcher: { code: Code.Unknown, message: "lost watcher waiting for delete" },
} as const satisfies Record<string, Reason>;

export type ReasonName = keyof typeof reasons;

/**
 * Texts for `WatchResponse.cancel_reason`: not statuses, the stream lives on. Start revisions below zero and requests on
 * compacted ones use the message of `compacted`; refusals by auth print the status as Go does (see {@link statusText}).
 */
export const cancelReasons = {
  emptyRange: "mvcc: watcher range is empty",
  duplicateWatchId: "mvcc: duplicate watch ID provided on the WatchStream",
  compacted: reasons.compacted.message,
} as const;

/** An operational error: expected, reported to the client with `code` and `message`, after which everything goes on. */
export class EtcdError extends Error {
  override readonly name = "EtcdError";
  readonly reason: ReasonName;
  readonly code: Code;

  /** @param options.detail - the variable end of the text, for the reasons that have one. */
  constructor(reason: ReasonName, options?: { readonly cause?: unknown; readonly detail?: string }) {
    const { code, message } = reasons[reason];
    super(message + (options?.detail ?? ""), options?.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.code = code;
  }
}

/** A status as Go prints it: `rpc error: code = InvalidArgument desc = etcdserver: user name is empty`. */
export function statusText(code: number, message: string): string {
  return `rpc error: code = ${codeName(code)} desc = ${message}`;
}
