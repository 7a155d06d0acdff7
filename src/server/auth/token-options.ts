/**
 * `--auth-token`: `simple`, `jwt,sign-method=RS256,pub-key=FILE,priv-key=FILE,ttl=5m`, or nothing for no tokens at all.
 * Source: etcd server/auth/{store,options}.go; messages are etcd's where it has some.
 */
import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { SimpleTokens } from "../../auth/simple-tokens.ts";
import { noTokens, type Tokens } from "../../auth/tokens.ts";
import { parseDuration } from "../../base/duration.ts";
import type { Logger } from "../../platform/logger.ts";
import type { Platform } from "../../platform/platform.ts";
import { reasons, type ReasonName } from "../../wire/errors.ts";
import { StartError } from "../start-error.ts";
import { JwtTokens, signMethod, type SignMethod } from "./jwt-tokens.ts";

const jwtTtlMsDefault = 300_000;
const knownOptions: ReadonlySet<string> = new Set(["sign-method", "pub-key", "priv-key", "ttl"]);
/** OpenSSL's names of the curves of ES256, ES384 and ES512. */
const curves: Readonly<Record<string, string>> = { sha256: "prime256v1", sha384: "secp384r1", sha512: "secp521r1" };

/** @throws {StartError} when the text or a key file is not usable. */
export function createTokens(text: string, ttlSeconds: number, platform: Platform): Tokens {
  const log = platform.log.withCaller("server/auth/token-options.ts");
  try {
    return tokensOf(text, ttlSeconds, platform, log);
  } catch (error) {
    log.warn("failed to create token provider", { error });
    throw error;
  }
}

function tokensOf(text: string, ttlSeconds: number, platform: Platform, log: Logger): Tokens {
  const [type, ...pairs] = text.split(",");
  const options = parseOptions(pairs);
  switch (type) {
    case "":
      return noTokens;
    case "simple":
      log.warn("simple token is not cryptographically signed");
      return new SimpleTokens({
        ttlMs: ttlSeconds * 1000,
        now: () => platform.clock.monotonic(),
        randomBytes: (length) => platform.random.bytes(length),
      });
    case "jwt":
      return createJwt(options, platform, log);
    default:
      log.warn("unknown token type", { type });
      throw refusal("internalInvalidAuthOptions");
  }
}

/** @throws {StartError} */
function parseOptions(pairs: readonly string[]): ReadonlyMap<string, string> {
  const options = new Map<string, string>();
  for (const pair of pairs) {
    const [name, value, ...rest] = pair.split("=");
    if (value === undefined || rest.length > 0 || options.has(name)) throw refusal("internalInvalidAuthOptions");
    options.set(name, value);
  }
  return options;
}

function createJwt(options: ReadonlyMap<string, string>, platform: Platform, log: Logger): JwtTokens {
  const unknown = [...options.keys()].filter((name) => !knownOptions.has(name));
  if (unknown.length > 0) log.warn("unknown JWT options", { keys: unknown });
  const method = signMethod(options.get("sign-method") ?? "");
  let ttlMs: number;
  let privatePem: Uint8Array | undefined;
  let publicPem: Uint8Array | undefined;
  try {
    ttlMs = options.get("ttl") ? parseDuration(options.get("ttl") ?? "") : jwtTtlMsDefault;
    publicPem = readKey(platform, options.get("pub-key"));
    privatePem = readKey(platform, options.get("priv-key"));
    if (method === undefined) throw refusal("internalInvalidAuthMethod");
  } catch (error) {
    log.error("problem loading JWT options", { error });
    throw refusal("internalInvalidAuthOptions", error);
  }
  const { clock } = platform;
  const keys = chooseKeys(method, privatePem, publicPem);
  const tokens = new JwtTokens({ method, ttlMs, now: () => clock.now(), ...keys });
  if (keys.signingKey !== undefined) trySigning(tokens, method);
  return tokens;
}

/** A key too short for its method (RSA of 1024 bits and PS512) is refused here, not when the first user comes. */
function trySigning(tokens: JwtTokens, { name }: SignMethod): void {
  try {
    tokens.assign({ username: "", revision: 0, prefix: "", index: 0, isProposer: true });
  } catch (cause) {
    throw new StartError(`the key in --auth-token cannot sign with ${name}`, { cause });
  }
}

function readKey({ disk }: Platform, path: string | undefined): Uint8Array | undefined {
  if (path === undefined || path === "") return undefined;
  const file = disk.open(path, "read");
  try {
    const bytes = new Uint8Array(file.size());
    file.readSync(bytes, 0);
    return bytes.length === 0 ? undefined : bytes;
  } finally {
    file.close();
  }
}

interface Keys {
  readonly signingKey: KeyObject | undefined;
  readonly verifyingKey: KeyObject;
}

/** @throws {StartError} */
function chooseKeys(method: SignMethod, privatePem: Uint8Array | undefined, publicPem: Uint8Array | undefined): Keys {
  if (method.family === "HS") {
    if (privatePem === undefined) throw refusal("internalMissingKey");
    const secret = createSecretKey(privatePem);
    return { signingKey: secret, verifyingKey: secret };
  }
  const signingKey = privatePem && parsePem(() => createPrivateKey(Buffer.from(privatePem)), method);
  const given = publicPem && parsePem(() => createPublicKey(Buffer.from(publicPem)), method);
  const derived = signingKey && createPublicKey(signingKey);
  if (given !== undefined && derived !== undefined && !derived.equals(given)) throw refusal("internalKeyMismatch");
  const verifyingKey = derived ?? given;
  if (verifyingKey === undefined) throw refusal("internalMissingKey");
  return { signingKey, verifyingKey };
}

function parsePem(parse: () => KeyObject, method: SignMethod): KeyObject {
  let key: KeyObject;
  try {
    key = parse();
  } catch (cause) {
    throw new StartError(`the key for ${method.name} in --auth-token is not a PEM key`, { cause });
  }
  if (!fits(key, method)) throw new StartError(`the key in --auth-token is not one for ${method.name}`);
  return key;
}

/** A key of another kind, or on another curve, would start and then fail every request. */
function fits({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject, { family, hash }: SignMethod): boolean {
  switch (family) {
    case "ES":
      return asymmetricKeyType === "ec" && asymmetricKeyDetails?.namedCurve === curves[hash];
    case "EdDSA":
      return asymmetricKeyType === "ed25519";
    default:
      return asymmetricKeyType === "rsa";
  }
}

function refusal(reason: ReasonName, cause?: unknown): StartError {
  return new StartError(reasons[reason].message, { cause });
}
