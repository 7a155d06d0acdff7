/**
 * A range answer too big for one piece: measured in slices, then produced chunk by chunk as the client takes it, so that
 * neither other clients nor memory feel it.
 */
import type { Caller } from "../../auth/caller.ts";
import type { UnaryCall } from "../../grpc/calls.ts";
import type { RangeCursor } from "../../mvcc/range-cursor.ts";
import { sizeOfRangeTail, writeRangeTail } from "../../wire/hot/kv-responses.ts";
import type { RangeRequest } from "../../wire/hot/types.ts";
import type { ServiceContext } from "./service-context.ts";

/** Keys measured in one turn of the loop; a millisecond or two. */
const measureKeysMax = 2000;

/**
 * @param caller - who was permitted to read it, at an auth revision that must still hold when the answer begins.
 * @throws {EtcdError} `compacted`, `futureRevision`.
 */
export function respondBigRange(context: ServiceContext, call: UnaryCall, request: RangeRequest, caller: Caller): void {
  const cursor = context.member.store.rangeCursor(request);
  const { clock } = context.member.platform;
  const measure = (): void => {
    if (call.cancelled) return cursor.close();
    if (!cursor.measure(measureKeysMax)) return clock.nextTurn(measure);
    context.attempt(call, () => {
      try {
        context.requireCurrent(caller);
      } catch (error) {
        cursor.close();
        throw error;
      }
      send(context, call, cursor);
    });
  };
  measure();
}

function send(context: ServiceContext, call: UnaryCall, cursor: RangeCursor): void {
  const header = context.header(cursor.revision);
  const tail = new Uint8Array(sizeOfRangeTail(cursor.more, cursor.count));
  writeRangeTail(cursor.more, cursor.count, tail, 0);
  const pieces = new Pieces(header, cursor, tail);
  call.response = cursor.count;
  call.respondChunked(
    header.length + cursor.bytes + tail.length,
    (maxBytes) => pieces.next(maxBytes),
    () => cursor.close(),
  );
}

/** Header, pairs and tail of the answer, cut to the sizes asked for. */
class Pieces {
  readonly #cursor: RangeCursor;
  readonly #tail: Uint8Array;
  #rest: Uint8Array;
  #tailGiven = false;

  constructor(header: Uint8Array, cursor: RangeCursor, tail: Uint8Array) {
    this.#rest = header;
    this.#cursor = cursor;
    this.#tail = tail;
  }

  next(maxBytes: number): Uint8Array | undefined {
    while (this.#rest.length === 0) {
      const chunk = this.#cursor.next(maxBytes);
      if (chunk !== undefined) this.#rest = chunk;
      else if (this.#tailGiven) return undefined;
      else {
        this.#tailGiven = true;
        this.#rest = this.#tail;
        if (this.#tail.length === 0) return undefined;
      }
    }
    const piece = this.#rest.subarray(0, maxBytes);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }
}
