/** What a fuzz target is, and what targets share. */
import { InvariantError } from "../../src/base/assert.ts";

export interface FuzzTarget {
  readonly name: string;
  /** Good inputs, to be changed. */
  corpus(): Promise<Uint8Array[]> | Uint8Array[];
  /** @throws what {@link refuses} knows, or a bug. */
  run(input: Uint8Array): void | Promise<void>;
  refuses(error: unknown): boolean;
  readonly bytesMax?: number;
}

export const kinds =
  (...classes: (abstract new (...args: never[]) => Error)[]) =>
  (error: unknown): boolean =>
    classes.some((type) => error instanceof type);

/** Texts for people, of many classes; what the language throws by itself, and assertions, are none of them. */
export const forPeople = (error: unknown): boolean =>
  error instanceof Error &&
  !(error instanceof TypeError || error instanceof RangeError || error instanceof InvariantError);

/** The first byte picks one of several; the rest is its input. */
export function picked<T>(choices: readonly T[], input: Uint8Array): [T, Uint8Array] {
  return [choices[(input[0] ?? 0) % choices.length], input.subarray(1)];
}

export const withPick = (pick: number, bytes: Uint8Array): Uint8Array => Buffer.concat([Uint8Array.of(pick), bytes]);
export const text = (value: string): Uint8Array => Buffer.from(value);
