import { defineConfig } from "vitest/config";

// Real processes on real ports: one file at a time, so that they do not take each other's processors.
export default defineConfig({
  test: {
    include: ["test/interop/**/*.test.ts"],
    pool: "forks",
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
    retry: process.env["CI"] === undefined ? 0 : 1,
  },
});
