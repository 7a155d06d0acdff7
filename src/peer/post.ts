/** What the answer to a posted raft message or snapshot means. Source: etcd rafthttp/util.go, `checkPostResponse`. */
import { formatId } from "../membership/member.ts";
import type { Logger } from "../platform/logger.ts";
import type { CauseLog } from "./cause-log.ts";
import type { HttpResponse } from "./http1/fetch.ts";
import { clusterIdMismatchText, incompatibleVersionText } from "./introduction.ts";
import type { LocalMember } from "./types.ts";

/** A peer refuses us because we are no longer a member. */
export class RemovedError extends Error {
  override readonly name = "RemovedError";
}

export function removedError(): RemovedError {
  return new RemovedError("the member has been permanently removed from the cluster");
}

/** Undefined when the peer has taken it. */
export function postProblem(
  { head, body }: HttpResponse,
  context: { local: LocalMember; peerId: bigint; log: Logger; causes: CauseLog; url: string },
): Error | undefined {
  if (head.status === 204) return undefined;
  if (head.status === 403) return removedError();
  if (head.status !== 412) {
    const text = head.statusLine.slice(4);
    return new Error(`unexpected http status ${text} while posting to ${JSON.stringify(context.url)}`);
  }
  const text = Buffer.from(body).toString("utf8").replace(/\n$/, "");
  const peer = { "remote-peer-id": formatId(context.peerId) };
  if (text !== incompatibleVersionText && text !== clusterIdMismatchText) {
    return new Error(`unhandled error ${JSON.stringify(text)} when precondition failed`);
  }
  if (!context.causes.isNews(`post: ${text}`)) return new Error(text);
  if (text === incompatibleVersionText) {
    context.log.error("request sent was ignored by peer", peer);
  } else {
    context.log.error("request sent was ignored due to cluster ID mismatch", {
      ...peer,
      "remote-peer-cluster-id": head.fields.get("x-etcd-cluster-id") ?? "",
      "local-member-cluster-id": formatId(context.local.clusterId),
    });
  }
  return new Error(text);
}
