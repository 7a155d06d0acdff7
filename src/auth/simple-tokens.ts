/**
 * Simple tokens: `<16 random letters>.<log index>`, kept in memory by every member, because the entry that assigns one is
 * applied by all. The index is that of the entry before it. They live for a time after their last use and do not survive a restart.
 *
 * Every use moves a token to the end of the map, so the oldest stand in front and expiry needs no timer: whoever asks or
 * adds takes away what has run out. Source: etcd server/auth/simple_token.go.
 */
import type { Caller } from "./caller.ts";
import type { TokenAssignment, Tokens } from "./tokens.ts";

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const prefixLength = 16;
/** Bytes from here on would make the first letters likelier than the rest. */
const fairBytesMax = 256 - (256 % letters.length);
const defaultTtlMs = 300_000;

export interface SimpleTokensOptions {
  /** `--auth-token-ttl`; 0 means 300 s. */
  readonly ttlMs: number;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
}

interface Known {
  readonly username: string;
  expiresMs: number;
}

export class SimpleTokens implements Tokens {
  readonly #options: SimpleTokensOptions;
  readonly #ttlMs: number;
  /** Invariant: ascending by expiry. */
  readonly #known = new Map<string, Known>();

  constructor(options: SimpleTokensOptions) {
    this.#options = options;
    this.#ttlMs = options.ttlMs > 0 ? options.ttlMs : defaultTtlMs;
  }

  get count(): number {
    return this.#known.size;
  }

  newPrefix(): string {
    let prefix = "";
    while (prefix.length < prefixLength) {
      for (const byte of this.#options.randomBytes(prefixLength - prefix.length)) {
        if (byte < fairBytesMax) prefix += letters[byte % letters.length];
      }
    }
    return prefix;
  }

  assign({ username, prefix, index }: TokenAssignment): string {
    const nowMs = this.#options.now();
    this.#dropExpired(nowMs);
    const token = `${prefix}.${index}`;
    this.#known.set(token, { username, expiresMs: nowMs + this.#ttlMs });
    return token;
  }

  awaitedIndex(token: string): number {
    if (this.#known.has(token)) return 0;
    const index = indexOf(token);
    return index === 0 ? 0 : index + 1;
  }

  identify(token: string, revision: number): Caller | undefined {
    const nowMs = this.#options.now();
    this.#dropExpired(nowMs);
    const known = this.#known.get(token);
    if (known === undefined) return undefined;
    known.expiresMs = nowMs + this.#ttlMs;
    this.#known.delete(token);
    this.#known.set(token, known);
    return { username: known.username, revision };
  }

  forgetUser(username: string): void {
    for (const [token, known] of this.#known) if (known.username === username) this.#known.delete(token);
  }

  forgetAll(): void {
    this.#known.clear();
  }

  #dropExpired(nowMs: number): void {
    for (const [token, { expiresMs }] of this.#known) {
      if (expiresMs > nowMs) return;
      this.#known.delete(token);
    }
  }
}

/** The index in a token's text; 0 when it has not the form of a token. */
function indexOf(token: string): number {
  const dot = token.indexOf(".");
  const digits = token.slice(dot + 1);
  if (dot < 0 || digits.length > 15 || !/^\d+$/.test(digits)) return 0;
  return Number(digits);
}
