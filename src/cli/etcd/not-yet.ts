/**
 * Settings that etcd has and this version does not act on. They are refused, with the reason, rather than accepted
 * and ignored: a member that silently runs without TLS is worse than one that does not start.
 */
import type { FlagValues } from "./flags.ts";

/**
 * What stands in the way of starting with these settings, or undefined.
 *
 * @param runtime - version of Node.js, as `process.versions.node`.
 */
export function refusal(values: FlagValues, runtime: string): string | undefined {
  if (values["discovery-proxy"] !== "" && values.discovery.startsWith("https:")) {
    return "--discovery-proxy cannot be used yet with an https URL in --discovery; use an http URL or no proxy";
  }
  if (values["socket-reuse-port"] && !canReusePort(runtime)) {
    return `--socket-reuse-port cannot be used yet: it needs Node.js 22.12 or newer, and of 23 23.1; this is ${runtime}`;
  }
  return undefined;
}

/** Whether this Node.js listens with SO_REUSEPORT when asked to. */
function canReusePort(runtime: string): boolean {
  const [major, minor] = runtime.split(".").map(Number);
  return major > 23 || (major === 23 && minor >= 1) || (major === 22 && minor >= 12);
}
