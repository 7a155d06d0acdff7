/** What we say we are. */

/** The etcd release whose behaviour this is; programs decide by it which flags and calls exist. */
export const etcdVersion = "3.6.14";

/** `etcd --version`, in etcd's form; the runtime stands where Go's version does. */
export function versionText(prefix: string): string {
  return [
    `${prefix} Version: ${etcdVersion}`,
    "Git SHA: quorate",
    `Go Version: node${process.versions.node}`,
    `Go OS/Arch: ${process.platform}/${goArchitecture()}`,
  ].join("\n");
}

/** Go's name of the processor. */
export function goArchitecture(): string {
  return process.arch === "x64" ? "amd64" : process.arch;
}
