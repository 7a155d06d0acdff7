/**
 * Settings that etcd has and this version does not act on. They are refused, with the reason, rather than accepted
 * and ignored: a member that silently runs without TLS is worse than one that does not start.
 */
import type { FlagName, FlagValues } from "./flags.ts";

const discovery =
  "the v2 discovery service, whose public one is closed, is not spoken to; use --discovery-endpoints with --discovery-token";

const refusedWhenGiven: readonly (readonly [FlagName, string])[] = [["discovery", discovery]];

/**
 * What stands in the way of starting with these settings, or undefined.
 *
 * @param runtime - version of Node.js, as `process.versions.node`.
 */
export function refusal(values: FlagValues, runtime: string): string | undefined {
  for (const [name, reason] of refusedWhenGiven) {
    const value = values[name];
    const isSet = Array.isArray(value) ? value.length > 0 : value !== "" && value !== false;
    if (isSet) return `--${name} cannot be used yet: ${reason}`;
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
