/** What this version refuses to start with. */
import { expect, test } from "vitest";
import { defaultValues } from "./flags.ts";
import { refusal } from "./not-yet.ts";

test.each([
  ["20.19.0", true],
  ["22.11.9", true],
  ["23.0.4", true],
  ["22.12.0", false],
  ["23.1.0", false],
  ["24.0.0", false],
])("Node.js %s cannot share a port: %s", (runtime, isRefused) => {
  const values = { ...defaultValues(), "socket-reuse-port": true };
  const text = refusal(values, runtime);
  expect(text).toEqual(
    isRefused ? expect.stringMatching(`needs Node.js 22.12 or newer.*; this is ${runtime}`) : undefined,
  );
});

test("the other socket option, locked memory and a proxy for no discovery are taken", () => {
  const values = {
    ...defaultValues(),
    "socket-reuse-address": true,
    "memory-mlock": true,
    "discovery-proxy": "http://proxy.example.com",
  };
  expect(refusal(values, "20.19.0")).toBeUndefined();
});
