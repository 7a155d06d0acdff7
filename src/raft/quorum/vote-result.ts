/** Outcome of a vote so far. `pending`: neither a quorum of yes nor enough of no. */
export type VoteResult = "pending" | "lost" | "won";
