/** Tells systemd that the member is ready (`Type=notify`). Node has no datagram Unix sockets, so systemd's own tool speaks. */
import { spawn } from "node:child_process";
import type { Logger } from "../../platform/logger.ts";

/** Does nothing unless a supervisor asked for it with `NOTIFY_SOCKET`. Never fails the member. */
export function notifyReady(log: Logger): void {
  if (!process.env["NOTIFY_SOCKET"]) return;
  log.info("notifying init daemon");
  const child = spawn("systemd-notify", ["--ready", `--pid=${process.pid}`], { stdio: "ignore" });
  child.on("error", (error) => log.error("failed to notify systemd for readiness", { error }));
  child.on("exit", (code) => {
    if (code === 0) log.info("successfully notified init daemon");
    else log.error("failed to notify systemd for readiness", { "exit-code": code });
  });
}
