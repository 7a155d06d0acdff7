/**
 * `--feature-gates=SetMemberLocalAddr=true`: the address that others are dialled from, so that a member with several
 * addresses is known by the one that it advertises and that its certificate is for.
 *
 * @see etcd server/embed/config.go, `InferLocalAddr`
 */
import { BlockList, isIP } from "node:net";
import type { Logger } from "../../platform/logger.ts";
import type { FlagValues } from "./flags.ts";

/** Addresses that say nothing of how others reach this machine. */
const unsuitable = new BlockList();
unsuitable.addSubnet("127.0.0.0", 8);
unsuitable.addAddress("0.0.0.0");
unsuitable.addAddress("::1", "ipv6");
unsuitable.addAddress("::", "ipv6");

/** The first IP address among the URLs that peers are told; undefined, with a warning, when there is none. */
export function peerLocalAddressOf(
  { "initial-advertise-peer-urls": urls }: Pick<FlagValues, "initial-advertise-peer-urls">,
  log: Logger,
): string | undefined {
  const fields = { "advertise-peer-urls": urls };
  log.info("searching for a suitable member local address in AdvertisePeerURLs", fields);
  for (const url of urls) {
    const [, v6, name] = /^\w+:\/\/(?:\[([^\]]*)\]|([^:/]*))/.exec(url) ?? [];
    const host = v6 ?? name ?? "";
    const version = isIP(host);
    if (version === 0 || unsuitable.check(host, version === 4 ? "ipv4" : "ipv6")) continue;
    log.info("setting member local address", { LocalAddr: host });
    return host;
  }
  log.warn("unable to set a member local address due to lack of suitable local addresses", fields);
  return undefined;
}
