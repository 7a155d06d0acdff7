/** What a client shows instead of its password. The kinds differ in who knows a token: every member, or the key alone. */
import { EtcdError } from "../wire/errors.ts";
import type { Caller } from "./caller.ts";

const scheme = "Bearer ";

/** A token as it stands in metadata or a header, with one scheme in front of it taken away. */
export function bareToken(text: string): string {
  return text.startsWith(scheme) ? text.slice(scheme.length) : text;
}

export interface TokenAssignment {
  readonly username: string;
  /** The auth revision as of the log entry that assigns the token. */
  readonly revision: number;
  /** Chosen by the member that proposed the entry. */
  readonly prefix: string;
  /** Of the log entry in front of the one that assigns the token. */
  readonly index: number;
  /** Whether a client waits for the token on this member. */
  readonly isProposer: boolean;
}

export interface Tokens {
  /** Random letters for the proposal of a token, or nothing when tokens of this kind need none. */
  newPrefix(): string;
  /** Applies the entry that assigns a token. @returns the token; empty when nobody waits. @throws {EtcdError} */
  assign(assignment: TokenAssignment): string;
  /** The entry that must be applied before this member can know the token; 0 when it can at once. */
  awaitedIndex(token: string): number;
  /** Who shows the token, or undefined when it is not valid. @param revision - the current auth revision. */
  identify(token: string, revision: number): Caller | undefined;
  /** The user's tokens are worth nothing from now on. */
  forgetUser(username: string): void;
  /** Authentication is switched off. */
  forgetAll(): void;
}

/** `--auth-token=`: nobody can authenticate; users are known by their certificates. */
export const noTokens: Tokens = {
  newPrefix: () => "",
  assign: () => {
    throw new EtcdError("authFailed");
  },
  awaitedIndex: () => 0,
  identify: () => undefined,
  forgetUser: () => undefined,
  forgetAll: () => undefined,
};
