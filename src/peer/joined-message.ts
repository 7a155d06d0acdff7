/**
 * Messages that wait for the same stream become one where nothing is lost by it.
 *
 *     App 5..6   commit 4 ┐                          AppResp to 6 ┐
 *     App 7..7   commit 5 ├─► App 5..7  commit 7     AppResp to 7 ├─► AppResp to 7
 *     App (none) commit 7 ┘                          AppResp (no) ┘   AppResp (no)
 *
 * A turn of the leader's loop often makes several appends for a follower: new entries, those of a forwarded proposal, a
 * commit index. Each one costs the follower an answer, and each answer costs the leader a step. To the core of either side
 * it is as if the entries had been proposed together, or an answer had been overtaken by a later one: both are things that
 * it must cope with from any peer, also Go's.
 */
import { type Message, MessageType } from "../wire/raft/types.ts";

/** Entries of an append made of several; those of one that the core made may be more. */
const JOINED_ENTRIES_MAX = 1024;
/** As that, bytes of their data. */
const JOINED_BYTES_MAX = 512 << 10;

/** The message that says what both say, to be sent in place of `before`; undefined when there is none. */
export function joinedMessage(before: Message, message: Message): Message | undefined {
  if (before.type !== message.type || before.term !== message.term || before.from !== message.from) return undefined;
  if (message.type === MessageType.App) return joinedAppend(before, message);
  if (message.type === MessageType.AppResp) return laterAcknowledgement(before, message);
  return undefined;
}

function joinedAppend(before: Message, message: Message): Message | undefined {
  const { entries } = before;
  const lastTerm = entries.length === 0 ? before.logTerm : entries[entries.length - 1].term;
  if (message.index !== before.index + entries.length || message.logTerm !== lastTerm) return undefined;
  if (entries.length === 0) return message.commit >= before.commit ? message : undefined;
  const commit = Math.max(before.commit, message.commit);
  if (message.entries.length === 0) return { ...before, commit };
  if (entries.length + message.entries.length > JOINED_ENTRIES_MAX) return undefined;
  if (bytesOf(before) + bytesOf(message) > JOINED_BYTES_MAX) return undefined;
  return { ...before, entries: [...entries, ...message.entries], commit };
}

/** Whoever has the log up to a place has it up to every place before. */
function laterAcknowledgement(before: Message, message: Message): Message | undefined {
  return before.reject || message.reject || message.index < before.index ? undefined : message;
}

function bytesOf({ entries }: Message): number {
  let bytes = 0;
  for (let index = 0; index < entries.length; index++) bytes += entries[index].data.length;
  return bytes;
}
