/**
 * The second of the four kinds of error: bytes on disk that are not what we (or etcd) wrote. Whoever meets one refuses
 * to serve from that file; nothing is repaired silently.
 */
export class CorruptionError extends Error {
  override readonly name = "CorruptionError";
  readonly path: string;
  /** Byte offset of what is wrong; undefined when no single place is. */
  readonly offset: number | undefined;

  /** @param what - what was found and what was expected. @param advice - what a person can do next. */
  constructor(place: { path: string; offset?: number }, what: string, advice?: string, options?: ErrorOptions) {
    const where = place.offset === undefined ? place.path : `${place.path}, offset ${place.offset}`;
    super(`${where}: ${what}${advice === undefined ? "" : `; ${advice}`}`, options);
    this.path = place.path;
    this.offset = place.offset;
  }
}
