import { generateKeyPairSync } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { removeDirectory, temporaryDirectory } from "../../../test/support/fixture.ts";
import { testPlatform } from "../../../test/support/member.ts";
import type { Tokens } from "../../auth/tokens.ts";
import { createTokens } from "./token-options.ts";

let folder: string;
const lines: string[] = [];

beforeEach(() => {
  folder = temporaryDirectory();
  lines.length = 0;
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  write("rsa.pem", privateKey.export({ type: "pkcs8", format: "pem" }));
  write("rsa.pub", publicKey.export({ type: "spki", format: "pem" }));
  write(
    "other.pub",
    generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey.export({ type: "spki", format: "pem" }),
  );
  write(
    "ec.pem",
    generateKeyPairSync("ec", { namedCurve: "prime256v1" }).privateKey.export({ type: "sec1", format: "pem" }),
  );
  write(
    "short.pem",
    generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey.export({ type: "pkcs8", format: "pem" }),
  );
  write("secret", "a secret");
  write("empty", "");
});

afterEach(() => removeDirectory(folder));

function write(name: string, content: string | Buffer): void {
  writeFileSync(join(folder, name), content);
}

function create(text: string): Tokens {
  return createTokens(text.replaceAll("DIR", folder), 0, testPlatform(lines));
}

const user = { username: "u", revision: 1, prefix: "p", index: 3, isProposer: true };

test.each([
  "jwt,sign-method=RS256,priv-key=DIR/rsa.pem",
  "jwt,sign-method=PS512,priv-key=DIR/rsa.pem,pub-key=DIR/rsa.pub,ttl=1h",
  "jwt,sign-method=ES256,priv-key=DIR/ec.pem",
  "jwt,sign-method=HS384,priv-key=DIR/secret,ttl=10m",
  "simple",
])("%s gives tokens that are known again", (text) => {
  const tokens = create(text);
  expect(tokens.identify(tokens.assign(user), 1)).toMatchObject({ username: "u", revision: 1 });
});

test("no kind of token means that nobody gets one", () => {
  const tokens = create("");
  expect(() => tokens.assign(user)).toThrow("authentication failed");
  expect(tokens.identify("p.3", 1)).toBeUndefined();
});

test("a public key alone verifies what the private key signed", () => {
  const token = create("jwt,sign-method=RS256,priv-key=DIR/rsa.pem").assign(user);
  expect(create("jwt,sign-method=RS256,pub-key=DIR/rsa.pub").identify(token, 1)).toMatchObject({ username: "u" });
});

test.each([
  ["other", "auth: invalid auth options"],
  ["jwt", "auth: invalid auth options"],
  ["simple,x", "auth: invalid auth options"],
  ["jwt,sign-method=RS256,sign-method=RS256", "auth: invalid auth options"],
  ["jwt,sign-method=XX256,priv-key=DIR/rsa.pem", "auth: invalid auth options"],
  ["jwt,sign-method=none,priv-key=DIR/rsa.pem", "auth: invalid auth options"],
  ["jwt,sign-method=RS256,priv-key=DIR/absent", "auth: invalid auth options"],
  ["jwt,sign-method=RS256,priv-key=DIR/rsa.pem,ttl=soon", "auth: invalid auth options"],
  ["jwt,sign-method=RS256", "auth: missing key data"],
  ["jwt,sign-method=HS256,priv-key=DIR/empty", "auth: missing key data"],
  ["jwt,sign-method=RS256,priv-key=DIR/rsa.pem,pub-key=DIR/other.pub", "auth: public and private keys don't match"],
  ["jwt,sign-method=RS256,priv-key=DIR/secret", "is not a PEM key"],
  ["jwt,sign-method=RS256,priv-key=DIR/ec.pem", "is not one for RS256"],
  ["jwt,sign-method=ES384,priv-key=DIR/ec.pem", "is not one for ES384"],
  ["jwt,sign-method=PS512,priv-key=DIR/short.pem", "cannot sign with PS512"],
])("%s does not start", (text, message) => {
  expect(() => create(text)).toThrow(message);
});

test("options that are not known are named, and nothing of a key is logged", () => {
  create("jwt,sign-method=HS256,priv-key=DIR/secret,color=red");
  expect(lines.join("\n")).toContain("color");
  expect(lines.join("\n")).not.toContain("a secret");
});
