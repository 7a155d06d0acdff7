/** Chance. The simulator gives a seeded generator, so a run replays from its seed. */
export interface Random {
  /** Uniform in [0, 2^32). */
  uint32(): number;
  /** Uniform in [0, 1). */
  float(): number;
  /** Owned, cryptographically strong bytes in production. */
  bytes(length: number): Uint8Array;
}
