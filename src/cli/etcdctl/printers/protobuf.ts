/** The bytes of the response message on stdout, without a line end. */
import {
  AlarmResponse,
  AuthRoleGetResponse,
  AuthRoleListResponse,
  AuthStatusResponse,
  AuthUserGetResponse,
  AuthUserListResponse,
  DeleteRangeResponse,
  DowngradeResponse,
  MemberAddResponse,
  MemberListResponse,
  MoveLeaderResponse,
  PutResponse,
  RangeResponse,
  ResponseHeader,
  TxnResponse,
  WatchResponse,
  type MessageFns,
} from "../../../wire/gen/etcdserverpb/rpc.ts";
import { CommandFailure, ExitCode } from "../../shared/failure.ts";
import type { AnswerKind, Answers } from "../answers.ts";
import type { Page } from "./page.ts";

type Encoder = (response: never) => Uint8Array;

function encoderOf<Message>(type: MessageFns<Message>): (response: Message) => Uint8Array {
  return (response) => type.encode(response).finish();
}

/** Messages that hold only a header are all encoded alike. */
const headerMessage = encoderOf(MoveLeaderResponse);
const memberList = encoderOf(MemberListResponse);
const downgrade = encoderOf(DowngradeResponse);

/** etcdctl prints only the header of a lease answer: its type inherits the encoder of the header that it embeds. */
function leaseHeader({ header }: { header: ResponseHeader | undefined }): Uint8Array {
  return ResponseHeader.encode(header ?? ResponseHeader.create()).finish();
}

/** Kinds without an entry have no protobuf form. */
const encoders: { readonly [Kind in AnswerKind]?: Encoder } = {
  get: encoderOf(RangeResponse),
  put: encoderOf(PutResponse),
  delete: encoderOf(DeleteRangeResponse),
  txn: encoderOf(TxnResponse),
  // The client library's form has no watch id, reason or fragment flag.
  watch: (response: WatchResponse) =>
    WatchResponse.encode({ ...response, watchId: 0n, cancelReason: "", fragment: false }).finish(),
  leaseGrant: leaseHeader,
  leaseKeepAlive: leaseHeader,
  leaseTimeToLive: leaseHeader,
  leaseList: leaseHeader,
  memberAdd: encoderOf(MemberAddResponse),
  memberRemove: memberList,
  memberUpdate: memberList,
  memberPromote: memberList,
  memberList,
  moveLeader: headerMessage,
  downgradeValidate: downgrade,
  downgradeEnable: downgrade,
  downgradeCancel: downgrade,
  alarm: encoderOf(AlarmResponse),
  roleAdd: headerMessage,
  roleGet: encoderOf(AuthRoleGetResponse),
  roleDelete: headerMessage,
  roleList: encoderOf(AuthRoleListResponse),
  roleGrantPermission: headerMessage,
  roleRevokePermission: headerMessage,
  userAdd: headerMessage,
  userGet: encoderOf(AuthUserGetResponse),
  userList: encoderOf(AuthUserListResponse),
  userChangePassword: headerMessage,
  userGrantRole: headerMessage,
  userRevokeRole: headerMessage,
  userDelete: headerMessage,
  authStatus: encoderOf(AuthStatusResponse),
};

/** @returns false when the kind has no protobuf form. */
export function printProtobuf<Kind extends AnswerKind>(kind: Kind, answer: Answers[Kind], page: Page): boolean {
  if (kind === "leaseRevoke") throw leaseRevokeFailure(answer as Answers["leaseRevoke"]);
  const encode = encoders[kind];
  if (encode === undefined) return false;
  page.bytes(encode(answer.response as never));
  return true;
}

/** The one message of Go's client that cannot be encoded; etcdctl says so after the lease is gone. */
function leaseRevokeFailure({ response }: Answers["leaseRevoke"]): CommandFailure {
  const { clusterId, memberId, revision, raftTerm } = response.header ?? ResponseHeader.create();
  const fields: string[] = [];
  if (clusterId !== 0n) fields.push(`cluster_id:${clusterId}`);
  if (memberId !== 0n) fields.push(`member_id:${memberId}`);
  if (revision !== 0n) fields.push(`revision:${revision}`);
  if (raftTerm !== 0n) fields.push(`raft_term:${raftTerm}`);
  const value = `{${fields.map((field) => `${field} `).join("")} {} [] 0}`;
  return new CommandFailure(
    ExitCode.BadFeature,
    `marshal unsupported for type clientv3.LeaseRevokeResponse (${value})`,
  );
}
