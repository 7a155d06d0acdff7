/**
 * A private key that every user of the machine can read is as good as published. It is told of and used all the same: keys
 * mounted into containers often have mode 0644, where nobody else is there to read them, and etcd takes them.
 */
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { FlagValues } from "./flags.ts";

const keyFlags = ["key-file", "peer-key-file", "client-key-file", "peer-client-key-file"] as const;
/** `--auth-token=jwt,priv-key=PATH,...` */
const jwtKey = /(?:^|,)priv-key=([^,]+)/;
const readableByOthers = 0o004;

export function warnOfReadableKeys(values: FlagValues, disk: Disk, log: Logger): void {
  const paths = new Set<string>(keyFlags.map((name) => values[name]));
  paths.add(jwtKey.exec(values["auth-token"])?.[1] ?? "");
  paths.delete("");
  for (const path of paths) {
    if (!disk.exists(path)) continue; // whoever uses it says so
    const { permissions } = disk.stat(path);
    if ((permissions & readableByOthers) === 0) continue;
    const mode = `0${permissions.toString(8)}`;
    log.warn("private key file can be read by every user of this machine", { path, mode, "recommended-mode": "0600" });
  }
}
