// npm run test:interop: builds, then runs the suites that need real etcd programs (scripts/fetch-peers.mjs) beside ours.
import { join } from "node:path";
import { build, install, root, run } from "./setup.mjs";

install();
build();
const vitest = join(root, "node_modules", "vitest", "vitest.mjs");
run(process.execPath, [vitest, "run", "--config", join(root, "vitest.interop.config.ts"), ...process.argv.slice(2)]);
