/** Who makes a request, and the auth revision at which that was established: what a log entry's header carries. */
export interface Caller {
  readonly username: string;
  /** At least 1; 0 only in {@link nobody}. */
  readonly revision: number;
}

/** A request without credentials. */
export const nobody: Caller = { username: "", revision: 0 };

/** The member itself, which revokes leases that have run out. */
export const rootUser = "root";
/** Whoever holds this role may do everything. */
export const rootRole = "root";
