/**
 * Settings that etcd has and this version does not act on. They are refused, with the reason, rather than accepted
 * and ignored: a member that silently runs without TLS is worse than one that does not start.
 */
import type { GateValues } from "./feature-gates.ts";
import type { FlagName, FlagValues } from "./flags.ts";

const tls = "TLS is not available in this version";
const discovery = "cluster discovery is not available in this version; name the member in --initial-cluster";
const tracing = "distributed tracing is not available in this version";

const refusedWhenGiven: readonly (readonly [FlagName, string])[] = [
  ["cert-file", tls],
  ["key-file", tls],
  ["client-cert-file", tls],
  ["client-key-file", tls],
  ["client-cert-auth", tls],
  ["client-crl-file", tls],
  ["client-cert-allowed-hostname", tls],
  ["trusted-ca-file", tls],
  ["auto-tls", tls],
  ["peer-cert-file", tls],
  ["peer-key-file", tls],
  ["peer-client-cert-file", tls],
  ["peer-client-key-file", tls],
  ["peer-client-cert-auth", tls],
  ["peer-trusted-ca-file", tls],
  ["peer-cert-allowed-cn", tls],
  ["peer-cert-allowed-hostname", tls],
  ["peer-auto-tls", tls],
  ["peer-crl-file", tls],
  ["peer-skip-client-san-verification", tls],
  ["cipher-suites", tls],
  ["discovery", discovery],
  ["discovery-proxy", discovery],
  ["discovery-srv", discovery],
  ["discovery-srv-name", discovery],
  ["discovery-token", discovery],
  ["discovery-endpoints", discovery],
  ["enable-distributed-tracing", tracing],
  ["memory-mlock", "database pages are read through a bounded cache, not mapped, so there is nothing to lock"],
  ["enable-pprof", "Go profiles do not exist here; run the member with `node --cpu-prof bin/etcd` for a CPU profile"],
  ["enable-log-rotation", "log rotation is not available in this version; let logrotate copy and truncate the file"],
  ["socket-reuse-port", "sharing a port needs a newer Node.js than the oldest one supported"],
];

/** What stands in the way of starting with these settings, or undefined. */
export function refusal(values: FlagValues, gates: GateValues): string | undefined {
  for (const [name, reason] of refusedWhenGiven) {
    const value = values[name];
    const isSet = Array.isArray(value) ? value.length > 0 : value !== "" && value !== false;
    if (isSet) return `--${name} cannot be used yet: ${reason}`;
  }
  const secure = (
    ["listen-client-urls", "listen-peer-urls", "listen-client-http-urls", "listen-metrics-urls"] as const
  ).find((name) => values[name].some((url) => url.startsWith("https:") || url.startsWith("unixs:")));
  if (secure !== undefined) return `--${secure} cannot use https yet: ${tls}`;
  if (values["log-outputs"].includes("systemd/journal")) {
    return "--log-outputs=systemd/journal cannot be used: write to stderr, which systemd keeps in the journal";
  }
  if (gates.SetMemberLocalAddr) {
    return "--feature-gates=SetMemberLocalAddr=true cannot be used yet: the system picks the address to dial members from";
  }
  return undefined;
}
