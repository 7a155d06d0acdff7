/**
 * JSON Web Tokens: signed by the member that is asked to authenticate, verified by any with the key. The claims say who,
 * at which auth revision, and until when; a token of an older revision is worth nothing.
 *
 *     base64url({"alg":"RS256","typ":"JWT"}) . base64url({"exp":…,"revision":…,"username":…}) . base64url(signature)
 *
 * Verified tokens are remembered, so that a client pays for the signature once, not with every request.
 * Source: RFC 7519; etcd server/auth/jwt.go.
 */
import { constants, createHmac, type KeyObject, sign, timingSafeEqual, verify } from "node:crypto";
import type { Caller } from "../../auth/caller.ts";
import type { TokenAssignment, Tokens } from "../../auth/tokens.ts";
import { EtcdError } from "../../wire/errors.ts";

/** Verified tokens remembered; more make the oldest be verified again. */
const rememberedMax = 4_096;
/** Longer ones are not ours: the claims are a name and two numbers. */
const tokenLengthMax = 16 * 1024;

/** The name of a method, such as `RS256`, taken apart. */
export interface SignMethod {
  readonly name: string;
  readonly family: "RS" | "PS" | "ES" | "HS" | "EdDSA";
  /** Empty for EdDSA. */
  readonly hash: string;
}

/** @returns undefined for a method that is not known. */
export function signMethod(name: string): SignMethod | undefined {
  if (name === "EdDSA") return { name, family: "EdDSA", hash: "" };
  const [, family, bits] = /^(RS|PS|ES|HS)(256|384|512)$/.exec(name) ?? [];
  return family === undefined ? undefined : { name, family: family as SignMethod["family"], hash: `sha${bits}` };
}

export interface JwtTokensOptions {
  readonly method: SignMethod;
  /** A secret for HS, a private key otherwise; undefined: this member can only verify. */
  readonly signingKey: KeyObject | undefined;
  /** The secret again, or the public key. */
  readonly verifyingKey: KeyObject;
  readonly ttlMs: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Verified extends Caller {
  /** Since 1970; Infinity when the token says nothing. */
  readonly expiresMs: number;
}

export class JwtTokens implements Tokens {
  readonly #options: JwtTokensOptions;
  readonly #head: string;
  readonly #verified = new Map<string, Verified>();

  constructor(options: JwtTokensOptions) {
    this.#options = options;
    this.#head = encode({ alg: options.method.name, typ: "JWT" });
  }

  newPrefix(): string {
    return "";
  }

  assign({ username, revision, isProposer }: TokenAssignment): string {
    // Every member applies the entry, and only one has a client to give the token to.
    if (!isProposer) return "";
    const { signingKey, ttlMs, now } = this.#options;
    if (signingKey === undefined) throw new EtcdError("verifyOnlyKey");
    const exp = Math.floor((now() + ttlMs) / 1000);
    const text = `${this.#head}.${encode({ exp, revision, username })}`;
    return `${text}.${this.#sign(text, signingKey).toString("base64url")}`;
  }

  awaitedIndex(): number {
    return 0;
  }

  identify(token: string): Caller | undefined {
    const known = this.#verified.get(token) ?? this.#verify(token);
    if (known === undefined || known.expiresMs <= this.#options.now()) return undefined;
    return known;
  }

  /** What the claims say does not change; a change of the user changes the auth revision. */
  forgetUser(): void {
    return undefined;
  }

  forgetAll(): void {
    this.#verified.clear();
  }

  #verify(token: string): Verified | undefined {
    if (token.length > tokenLengthMax) return undefined;
    const [head, claims, signature, ...rest] = token.split(".");
    if (signature === undefined || rest.length > 0) return undefined;
    if (![head, claims, signature].every((part) => /^[\w-]*$/.test(part))) return undefined;
    if (decode(head)?.["alg"] !== this.#options.method.name) return undefined;
    if (!this.#isSigned(`${head}.${claims}`, Buffer.from(signature, "base64url"))) return undefined;
    const verified = readClaims(decode(claims), this.#options.now());
    if (verified === undefined) return undefined;
    if (this.#verified.size >= rememberedMax) this.#verified.delete(this.#verified.keys().next().value ?? "");
    this.#verified.set(token, verified);
    return verified;
  }

  #sign(text: string, key: KeyObject): Buffer {
    const { family, hash } = this.#options.method;
    const data = Buffer.from(text);
    switch (family) {
      case "HS":
        return createHmac(hash, key).update(data).digest();
      case "PS":
        return sign(hash, data, { key, ...pss, saltLength: constants.RSA_PSS_SALTLEN_DIGEST });
      case "ES":
        return sign(hash, data, { key, dsaEncoding: "ieee-p1363" });
      case "EdDSA":
        return sign(null, data, key);
      default:
        return sign(hash, data, key);
    }
  }

  #isSigned(text: string, signature: Buffer): boolean {
    const { verifyingKey: key, method } = this.#options;
    const data = Buffer.from(text);
    switch (method.family) {
      case "HS": {
        const expected = createHmac(method.hash, key).update(data).digest();
        return expected.length === signature.length && timingSafeEqual(expected, signature);
      }
      case "PS":
        return verify(method.hash, data, { key, ...pss, saltLength: constants.RSA_PSS_SALTLEN_AUTO }, signature);
      case "ES":
        return verify(method.hash, data, { key, dsaEncoding: "ieee-p1363" }, signature);
      case "EdDSA":
        return verify(null, data, key, signature);
      default:
        return verify(method.hash, data, key, signature);
    }
  }
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING };

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}

function decode(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, "base64url").toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    // Whatever a stranger sends: not a token.
    return undefined;
  }
}

function readClaims(claims: Readonly<Record<string, unknown>> | undefined, nowMs: number): Verified | undefined {
  const { username, revision, exp, nbf } = claims ?? {};
  if (typeof username !== "string" || typeof revision !== "number") return undefined;
  if (!Number.isFinite(revision) || revision < 0 || revision > Number.MAX_SAFE_INTEGER) return undefined;
  const expiresMs = exp === undefined ? Infinity : toMs(exp);
  const startsMs = nbf === undefined ? -Infinity : toMs(nbf);
  if (expiresMs === undefined || startsMs === undefined || startsMs > nowMs) return undefined;
  return { username, revision: Math.trunc(revision), expiresMs };
}

function toMs(seconds: unknown): number | undefined {
  return typeof seconds === "number" && Number.isFinite(seconds) ? seconds * 1000 : undefined;
}
