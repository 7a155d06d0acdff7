import { defineConfig } from "vitest/config";

// Unit tests stand beside the code; tests across layers live in test/. Suites that need a real etcd,
// root, or minutes have a folder of their own (test/interop, test/soak) and a command of their own.
export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts", "sim/**/*.test.ts", "bench/**/*.test.ts"],
    exclude: ["test/interop/**", "node_modules/**", "dist/**"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
    passWithNoTests: true,
    // Real processes on a machine that others use: CI asks a second time before it believes a failure.
    retry: process.env["CI"] === undefined ? 0 : 1,
  },
});
