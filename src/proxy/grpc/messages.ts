/** Reading and writing the messages of clients, whose bytes may be anything. */
import { EtcdError } from "../../wire/errors.ts";
import type { MessageFns } from "../../wire/gen/etcdserverpb/rpc.ts";

/** @throws {EtcdError} `unmarshalling`: the bytes are no such message, or one nested beyond measure. */
export function readMessage<Message>(type: MessageFns<Message>, bytes: Uint8Array): Message {
  return refusing(() => type.decode(bytes));
}

export function messageBytes<Message>(type: MessageFns<Message>, message: Message): Uint8Array {
  return type.encode(message).finish();
}

/** Runs what a message may be too deep for; the stack is the limit. @throws {EtcdError} `unmarshalling`. */
export function refusing<Result>(work: () => Result): Result {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof EtcdError) throw cause;
    throw new EtcdError("unmarshalling", { cause, detail: cause instanceof Error ? cause.message : String(cause) });
  }
}
