/** The cluster cannot be founded with what the discovery service says; trying again changes nothing. */
export class DiscoveryError extends Error {
  override readonly name = "DiscoveryError";

  constructor(cause: unknown) {
    super(`failed to join discovery cluster (${cause instanceof Error ? cause.message : String(cause)})`, { cause });
  }
}
