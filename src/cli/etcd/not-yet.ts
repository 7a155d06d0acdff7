/**
 * Settings that etcd has and this version does not act on. They are refused, with the reason, rather than accepted
 * and ignored: a member that silently runs without TLS is worse than one that does not start.
 */
import type { GateValues } from "./feature-gates.ts";
import type { FlagName, FlagValues } from "./flags.ts";

const discovery =
  "the v2 discovery service, which runs nowhere any more, is not spoken to; use --discovery-endpoints with --discovery-token";
const tracing = "distributed tracing is not available in this version";

const refusedWhenGiven: readonly (readonly [FlagName, string])[] = [
  ["discovery", discovery],
  ["discovery-proxy", discovery],
  ["enable-distributed-tracing", tracing],
  ["memory-mlock", "database pages are read through a bounded cache, not mapped, so there is nothing to lock"],
  ["socket-reuse-port", "sharing a port needs a newer Node.js than the oldest one supported"],
];

/** What stands in the way of starting with these settings, or undefined. */
export function refusal(values: FlagValues, gates: GateValues): string | undefined {
  for (const [name, reason] of refusedWhenGiven) {
    const value = values[name];
    const isSet = Array.isArray(value) ? value.length > 0 : value !== "" && value !== false;
    if (isSet) return `--${name} cannot be used yet: ${reason}`;
  }
  if (gates.SetMemberLocalAddr) {
    return "--feature-gates=SetMemberLocalAddr=true cannot be used yet: the system picks the address to dial members from";
  }
  return undefined;
}
