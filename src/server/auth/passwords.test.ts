import { afterEach, expect, test } from "vitest";
import { testPlatform } from "../../../test/support/member.ts";
import { Passwords } from "./passwords.ts";

const opened: Passwords[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

function passwords(cost: number, lines: string[] = []): Passwords {
  const { random, log } = testPlatform(lines);
  const created = new Passwords(cost, random, log);
  opened.push(created);
  return created;
}

test("a password matches its hash and no other", async () => {
  const bcrypt = passwords(4);
  const hash = await bcrypt.hash("pass wörd");
  expect(hash).toMatch(/^\$2a\$04\$.{53}$/);
  expect(await bcrypt.matches("pass wörd", hash)).toBe(true);
  expect(await bcrypt.matches("pass word", hash)).toBe(false);
  expect(await bcrypt.hash("pass wörd")).not.toBe(hash);
});

test("hashes of Go's bcrypt are known", async () => {
  // golang.org/x/crypto/bcrypt and crypt_blowfish agree on these (the latter's own test vectors).
  const bcrypt = passwords(4);
  expect(await bcrypt.matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW")).toBe(true);
  expect(await bcrypt.matches("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy")).toBe(true);
});

test("no user, and a row that is no hash, match nothing", async () => {
  const bcrypt = passwords(4);
  for (const stored of [undefined, "", "plain", "$2a$04$short"]) expect(await bcrypt.matches("", stored)).toBe(false);
});

test("a password longer than bcrypt looks at is refused", async () => {
  await expect(passwords(4).hash("x".repeat(73))).rejects.toThrow("bcrypt: password length exceeds 72 bytes");
});

test("a cost that cannot be is replaced by the default, with a warning", () => {
  const lines: string[] = [];
  expect(passwords(3, lines).hashNow("p")).toMatch(/^\$2a\$10\$/);
  expect(lines.join("\n")).toContain("use default bcrypt cost");
});

test("who waits when the member stops is told so", async () => {
  const bcrypt = passwords(12);
  const waiting = expect(bcrypt.hash("p")).rejects.toThrow("etcdserver: server stopped");
  await bcrypt.close();
  await waiting;
});
