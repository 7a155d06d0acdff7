import { createHmac, createPublicKey, createSecretKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { describe, expect, test } from "vitest";
import { EtcdError } from "../../wire/errors.ts";
import { JwtTokens, signMethod, type JwtTokensOptions } from "./jwt-tokens.ts";

const names = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "HS256", "EdDSA"];

function keyFor(name: string): KeyObject {
  if (name.startsWith("HS")) return createSecretKey(Buffer.from("a secret"));
  if (name === "EdDSA") return generateKeyPairSync("ed25519").privateKey;
  const curve = { ES256: "prime256v1", ES384: "secp384r1", ES512: "secp521r1" }[name];
  if (curve !== undefined) return generateKeyPairSync("ec", { namedCurve: curve }).privateKey;
  return rsaKeys[rsaTurn++ % rsaKeys.length];
}

/** Making one takes a while: two take turns. */
const rsaKeys = [1, 2].map(() => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey);
let rsaTurn = 0;

function tokensFor(name: string, changes: Partial<JwtTokensOptions> = {}): JwtTokens {
  const signingKey = keyFor(name);
  const verifyingKey = signingKey.type === "secret" ? signingKey : createPublicKey(signingKey);
  const method = signMethod(name)!;
  return new JwtTokens({ method, signingKey, verifyingKey, ttlMs: 60_000, now: () => 1_000_000, ...changes });
}

const user = { username: "u", revision: 7, prefix: "", index: 3, isProposer: true };

describe.each(names)("%s", (name) => {
  test("a token is known again, and no longer when a letter of it changes", () => {
    const tokens = tokensFor(name);
    const token = tokens.assign(user);
    expect(tokens.identify(token)).toMatchObject({ username: "u", revision: 7 });
    const [head, claims, signature] = token.split(".");
    const forged = Buffer.from('{"exp":9999999999,"revision":7,"username":"root"}').toString("base64url");
    expect(tokens.identify(`${head}.${forged}.${signature}`)).toBeUndefined();
    const other = signature.startsWith("A") ? "B" : "A";
    expect(tokens.identify(`${head}.${claims}.${other}${signature.slice(1)}`)).toBeUndefined();
    expect(tokensFor(name === "HS256" ? "HS384" : name).identify(token)).toBeUndefined();
  });
});

/** A token of anybody who has the secret. */
function signed(head: object, claims: object, secret = "a secret"): string {
  const text = [head, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

const head = { alg: "HS256", typ: "JWT" };
const claims = { username: "u", revision: 7, exp: 1001 };

test("the head must name the method that is configured", () => {
  const tokens = tokensFor("HS256");
  expect(tokens.identify(signed(head, claims))).toMatchObject({ username: "u" });
  for (const alg of ["none", "HS512", "RS256", "hs256", undefined]) {
    expect(tokens.identify(signed({ ...head, alg }, claims))).toBeUndefined();
  }
  const unsigned = signed({ alg: "none" }, claims).replace(/[^.]*$/, "");
  expect(tokens.identify(unsigned)).toBeUndefined();
});

test("a public key is no secret to sign with", () => {
  const key = keyFor("RS256");
  const publicPem = createPublicKey(key).export({ type: "spki", format: "pem" }).toString();
  const tokens = tokensFor("RS256", { signingKey: key, verifyingKey: createPublicKey(key) });
  expect(tokens.identify(signed(head, claims, publicPem))).toBeUndefined();
});

test.each([
  ["no user", { username: undefined }],
  ["a user that is no text", { username: 5 }],
  ["no revision", { revision: undefined }],
  ["a revision below zero", { revision: -1 }],
  ["a time that is over", { exp: 999 }],
  ["a time that is over just now", { exp: 1000 }],
  ["a time that is no number", { exp: "2999" }],
  ["a time that has not begun", { nbf: 1001 }],
])("claims with %s are not believed", (_what, changes) => {
  expect(tokensFor("HS256").identify(signed(head, { ...claims, ...changes }))).toBeUndefined();
});

test("a token that was known ends with its time", () => {
  let nowMs = 1_000_000;
  const tokens = tokensFor("HS256", { now: () => nowMs });
  const token = tokens.assign(user);
  expect(tokens.identify(token)).toBeDefined();
  nowMs += 60_000;
  expect(tokens.identify(token)).toBeUndefined();
});

test.each(["", ".", "..", "a.b", "a.b.c.d", "!.!.!", "x".repeat(100_000), ".".repeat(100_000)])(
  "%s is no token",
  (text) => {
    expect(tokensFor("HS256").identify(text)).toBeUndefined();
  },
);

test("with the public key alone a member verifies and does not sign", () => {
  const tokens = tokensFor("RS256", { signingKey: undefined });
  let reason = "";
  try {
    tokens.assign(user);
  } catch (error) {
    reason = error instanceof EtcdError ? error.reason : "";
  }
  expect(reason).toBe("verifyOnlyKey");
  expect(tokens.assign({ ...user, isProposer: false })).toBe("");
});
