/** Flags of `etcd grpc-proxy start`, in the words of etcd's help. */
import type { FlagSpec } from "../../shared/flags.ts";

function text(name: string, usage: string, initial = ""): FlagSpec {
  return { name, type: "string", initial, usage };
}

function flag(name: string, usage: string): FlagSpec {
  return { name, type: "bool", initial: false, usage };
}

function duration(name: string, initial: number, usage: string): FlagSpec {
  return { name, type: "duration", initial, usage };
}

export const grpcProxyFlags: readonly FlagSpec[] = [
  text("listen-addr", "listen address", "127.0.0.1:23790"),
  text("discovery-srv", "domain name to query for SRV records describing cluster endpoints"),
  text("discovery-srv-name", "service name to query when using DNS discovery"),
  text("metrics-addr", "listen for endpoint /metrics requests on an additional interface"),
  flag("insecure-discovery", "accept insecure SRV records"),
  { name: "endpoints", type: "list", initial: ["127.0.0.1:2379"], usage: "comma separated etcd cluster endpoints" },
  duration("endpoints-auto-sync-interval", 0, "etcd endpoints auto sync interval (disabled by default)"),
  duration("dial-keepalive-time", 0, "keepalive time for client(grpc-proxy) connections (default 0, disable)."),
  duration("dial-keepalive-timeout", 20_000, "keepalive timeout for client(grpc-proxy) connections (default 20s)."),
  flag("permit-without-stream", "Enable client(grpc-proxy) to send keepalive pings even with no active RPCs."),
  text("advertise-client-url", "advertise address to register (must be reachable by client)", "127.0.0.1:23790"),
  text("resolver-prefix", "prefix to use for registering proxy (must be shared with other grpc-proxy members)"),
  {
    name: "resolver-ttl",
    type: "integer",
    initial: 0n,
    usage: "specify TTL, in seconds, when registering proxy endpoints",
  },
  text("namespace", "string to prefix to all keys for namespacing requests"),
  flag("enable-pprof", 'Enable runtime profiling data via HTTP server. Address is at client URL + "/debug/pprof/"'),
  text("data-dir", "Data directory for persistent data", "default.proxy"),
  {
    name: "max-send-bytes",
    type: "integer",
    initial: 1_572_864n,
    usage: "message send limits in bytes (default value is 1.5 MiB)",
  },
  {
    name: "max-recv-bytes",
    type: "integer",
    initial: 0x7fff_ffffn,
    usage: "message receive limits in bytes (default value is math.MaxInt32)",
  },
  duration(
    "grpc-keepalive-min-time",
    5000,
    "Minimum interval duration that a client should wait before pinging proxy.",
  ),
  duration(
    "grpc-keepalive-interval",
    7_200_000,
    "Frequency duration of server-to-client ping to check if a connection is alive (0 to disable).",
  ),
  duration(
    "grpc-keepalive-timeout",
    20_000,
    "Additional duration of wait before closing a non-responsive connection (0 to disable).",
  ),
  text("cert", "identify secure connections with etcd servers using this TLS certificate file"),
  text("key", "identify secure connections with etcd servers using this TLS key file"),
  text("cacert", "verify certificates of TLS-enabled secure etcd servers using this CA bundle"),
  flag(
    "insecure-skip-tls-verify",
    "skip authentication of etcd server TLS certificates (CAUTION: this option should be enabled only for testing purposes)",
  ),
  text("cert-file", "identify secure connections to the proxy using this TLS certificate file"),
  text("key-file", "identify secure connections to the proxy using this TLS key file"),
  text("trusted-ca-file", "verify certificates of TLS-enabled secure proxy using this CA bundle"),
  {
    name: "listen-cipher-suites",
    type: "list",
    initial: [],
    usage:
      "Comma-separated list of supported TLS cipher suites between client/proxy (empty will be auto-populated by Go).",
  },
  flag("auto-tls", "proxy TLS using generated certificates"),
  text("client-crl-file", "proxy client certificate revocation list file."),
  {
    name: "self-signed-cert-validity",
    type: "unsigned",
    initial: 1n,
    usage: "The validity period of the proxy certificates, unit is year",
  },
  text("tls-min-version", "Minimum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3.", "TLS1.2"),
  text(
    "tls-max-version",
    "Maximum TLS version supported by grpc proxy. Possible values: TLS1.2, TLS1.3 (empty defers to Go).",
  ),
  flag(
    "experimental-serializable-ordering",
    "Ensure serializable reads have monotonically increasing store revisions across endpoints.",
  ),
  text("experimental-leasing-prefix", "leasing metadata prefix for disconnected linearized reads."),
  flag("experimental-enable-grpc-logging", "logging all grpc requests and responses"),
  flag("debug", "Enable debug-level logging for grpc-proxy."),
  {
    name: "max-concurrent-streams",
    type: "unsigned",
    kindName: "uint32",
    initial: 4_294_967_295n,
    usage: "Maximum concurrent streams that each client can open at a time.",
  },
];
