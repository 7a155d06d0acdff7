/** `--initial-cluster` and the `--discovery-` flags as ways to find the other founders. */
import type { ClientSecurity } from "../../client/channel.ts";
import { membersBySrv } from "../../discovery/dns-srv.ts";
import { joinByRegistry } from "../../discovery/registry.ts";
import { joinByV2Registry } from "../../discovery/v2-registry.ts";
import { parseUrlsMap } from "../../membership/peer-urls.ts";
import type { Platform } from "../../platform/platform.ts";
import type { MemberConfig } from "../../server/config.ts";
import type { FlagValues } from "./flags.ts";

export function discoveryOf(
  values: FlagValues,
  platform: Platform,
): Pick<MemberConfig, "discovery" | "peerServerName"> {
  const domain = values["discovery-srv"];
  if (domain !== "") {
    const members = () =>
      membersBySrv({
        resolver: platform.resolver,
        log: platform.log.withCaller("discovery/dns-srv.ts"),
        name: values.name,
        domain,
        serviceName: values["discovery-srv-name"],
        advertised: values["initial-advertise-peer-urls"],
      });
    // Without a CA of the cluster's own, what is trusted is a certificate for the domain, as in etcd.
    const peerServerName = values["peer-trusted-ca-file"] === "" ? domain : undefined;
    return { discovery: { kind: "lookup", members }, peerServerName };
  }
  if (values.discovery !== "") {
    const v2 = { platform, url: values.discovery, proxy: values["discovery-proxy"] };
    return {
      discovery: { kind: "registry", version: 2, join: (memberId, own) => joinByV2Registry(v2, memberId, own) },
    };
  }
  const endpoints = values["discovery-endpoints"];
  if (endpoints.length === 0) {
    const members = () => Promise.resolve().then(() => parseUrlsMap(values["initial-cluster"]));
    return { discovery: { kind: "lookup", members } };
  }
  const options = {
    network: platform.network,
    clock: platform.clock,
    random: platform.random,
    log: platform.log,
    endpoints,
    token: values["discovery-token"],
    dialTimeoutMs: values["discovery-dial-timeout"],
    requestTimeoutMs: values["discovery-request-timeout"],
    keepaliveTimeMs: values["discovery-keepalive-time"],
    keepaliveTimeoutMs: values["discovery-keepalive-timeout"],
    maxSendBytes: 0,
    maxReceiveBytes: 0,
    security: securityOf(values),
    credentials: credentialsOf(values),
  };
  return {
    discovery: { kind: "registry", version: 3, join: (memberId, own) => joinByRegistry(options, memberId, own) },
  };
}

/** What the flags ask for; undefined when they ask for nothing, and the endpoints alone decide. */
function securityOf(values: FlagValues): ClientSecurity | undefined {
  const [certFile, keyFile, caFile] = (["discovery-cert", "discovery-key", "discovery-cacert"] as const).map(
    (name) => values[name] || undefined,
  );
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new Error(`KeyFile and CertFile must both be present[key: ${keyFile ?? ""}, cert: ${certFile ?? ""}]`);
  }
  const verifiesServer = !values["discovery-insecure-skip-tls-verify"];
  const isAsked =
    certFile !== undefined || caFile !== undefined || !verifiesServer || !values["discovery-insecure-transport"];
  return isAsked ? { certFile, keyFile, caFile, verifiesServer } : undefined;
}

/** A user without a password is none, as for etcd's client. */
function credentialsOf(values: FlagValues): { user: string; password: string } | undefined {
  const [user, password] = [values["discovery-user"], values["discovery-password"]];
  return user === "" || password === "" ? undefined : { user, password };
}
