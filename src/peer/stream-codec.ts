/** What the two kinds of streams have in common, and the messages that only the link sees. */
import type { Message } from "../wire/raft/types.ts";
import { createMessage, MessageType, NONE } from "../wire/raft/types.ts";

/** Encodes the messages of one stream, in order; stateful. */
export interface StreamEncoder {
  /** Bytes that {@link write} takes for this message, if it is the next one. */
  size(message: Message): number;
  /** @returns the end; `target` has room from `offset` on. */
  write(message: Message, target: Uint8Array, offset: number): number;
}

/** Decodes the messages of one stream; stateful. */
export interface StreamDecoder {
  /**
   * @param piece - owned by the decoder from now on; messages hold views of it.
   * @throws {RaftDecodeError}, {@link SizeLimitError}: the stream is garbage from here on.
   */
  push(piece: Uint8Array, sink: (message: Message) => void): void;
}

/** A peer announces more than any peer would send. */
export class SizeLimitError extends Error {
  override readonly name = "SizeLimitError";
  constructor() {
    super("rafthttp: error limit exceeded");
  }
}

/** Says only that the stream lives. Raft never sends a message without sender and addressee. */
export const linkHeartbeat: Message = createMessage(MessageType.Heartbeat, NONE);

export function isLinkHeartbeat(message: Message): boolean {
  return message.type === MessageType.Heartbeat && message.from === NONE && message.to === NONE;
}
