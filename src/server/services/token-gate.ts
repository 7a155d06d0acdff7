/**
 * A simple token is known on every member, a moment after the one that gave it out: who comes to another member with it waits
 * until that has applied the entry which the token names. Without this a client that has just authenticated would be
 * refused by every member that is a little behind.
 */
import { assert } from "../../base/assert.ts";
import { copyBytes } from "../../base/bytes.ts";
import type { ServerStreamHandler, UnaryHandler } from "../../grpc/calls.ts";
import type { GrpcServer } from "../../grpc/server.ts";
import type { Member } from "../member.ts";
import type { Callers, IdentifiedCall } from "./callers.ts";

/** Messages of one stream that wait for its token. */
const waitingMessagesMax = 100;

/** What services register their methods on. */
export type MethodRegistry = Pick<GrpcServer, "unary" | "serverStream" | "bidi">;

/** Makes the calls of unary and server-streaming methods wait for their token; others see to it with a {@link MessageGate}. */
export function tokenGate(server: GrpcServer, member: Member, callers: Callers): MethodRegistry {
  return {
    unary: (path, handle) => server.unary(path, waiting(member, callers, handle)),
    serverStream: (path, handle) => server.serverStream(path, waitingStream(member, callers, handle)),
    bidi: (path, handle) => server.bidi(path, handle),
  };
}

function waiting(member: Member, callers: Callers, handle: UnaryHandler): UnaryHandler {
  return (call, request) => {
    const index = callers.awaitedIndex(call);
    if (index === 0) return handle(call, request);
    const owned = copyBytes(request);
    member.whenApplied(index, () => handle(call, owned));
  };
}

function waitingStream(member: Member, callers: Callers, handle: ServerStreamHandler): ServerStreamHandler {
  return (call, request) => {
    const index = callers.awaitedIndex(call);
    if (index === 0) return handle(call, request);
    member.whenApplied(index, () => handle(call, request));
  };
}

/** Hands on the messages of a stream in their order, from the time its token is known. */
export class MessageGate {
  readonly #member: Member;
  readonly #callers: Callers;
  readonly #call: IdentifiedCall;
  #held: (() => void)[] | undefined;

  constructor(member: Member, callers: Callers, call: IdentifiedCall) {
    this.#member = member;
    this.#callers = callers;
    this.#call = call;
  }

  /** @param bytes - borrowed until the call returns. Of a flood only the first ones are kept: the token is none then. */
  pass(bytes: Uint8Array, handle: (bytes: Uint8Array) => void): void {
    if (this.#isOpen()) return handle(bytes);
    const owned = copyBytes(bytes);
    this.#hold(() => handle(owned));
  }

  /** Runs an action behind everything that came before. */
  after(action: () => void): void {
    if (this.#held === undefined) action();
    else this.#hold(action);
  }

  #isOpen(): boolean {
    if (this.#held !== undefined) return false;
    const index = this.#callers.awaitedIndex(this.#call);
    if (index === 0) return true;
    this.#held = [];
    this.#member.whenApplied(index, () => this.#release());
    return this.#held === undefined;
  }

  #hold(action: () => void): void {
    assert(this.#held !== undefined, "nothing is held while the gate is open");
    if (this.#held.length >= waitingMessagesMax) return;
    this.#held.push(action);
  }

  #release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const action of held) action();
  }
}
