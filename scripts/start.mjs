// npm start [-- FLAGS]: installs, builds and runs a single-node member with etcd's defaults.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { build, install, root } from "./setup.mjs";

install();
build();
const member = spawn(process.execPath, [join(root, "bin", "etcd"), ...process.argv.slice(2)], { stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => member.kill(signal));
member.on("exit", (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
