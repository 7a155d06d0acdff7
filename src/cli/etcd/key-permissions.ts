/**
 * A private key that every user of the machine can read is as good as published. It is told of and used all the same: keys
 * mounted into containers often have mode 0644, where nobody else is there to read them, and etcd takes them.
 */
import type { Disk } from "../../platform/disk.ts";
import type { Logger } from "../../platform/logger.ts";
import type { FlagValues } from "./flags.ts";

/** `--auth-token=jwt,priv-key=PATH,...` */
const jwtKey = /(?:^|,)priv-key=([^,]+)/;
const readableByOthers = 0o004;

/** For the key that signs tokens; those of certificates are looked at where they are read (`platform/node/tls-files.ts`). */
export function warnOfReadableTokenKey(values: FlagValues, disk: Disk, log: Logger): void {
  const path = jwtKey.exec(values["auth-token"])?.[1];
  if (path === undefined || !disk.exists(path)) return; // whoever uses it says so
  const { permissions } = disk.stat(path);
  if ((permissions & readableByOthers) === 0) return;
  log.warn("the private key can be read by every user of this machine", { "key-file": path });
}
