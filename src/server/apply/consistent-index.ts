/**
 * How far the backend is: index and term of the last log entry whose effect it holds. They go into the same transaction
 * as that effect, by the backend's pre-commit hook, so that after a crash the log goes on exactly behind it and no entry
 * is applied twice. The configuration of the raft group lies beside them. Source: etcd server/etcdserver/cindex.
 */
import { assert } from "../../base/assert.ts";
import type { Backend } from "../../storage/backend/backend.ts";
import { readConsistentIndex, readTerm, writeConfState, writeConsistentIndex } from "../../storage/backend/schema.ts";
import type { ConfState } from "../../wire/raft/types.ts";

export class ConsistentIndex {
  readonly #backend: Backend;
  #index: number;
  #term: number;
  #written: number;
  #unwrittenConfState: ConfState | undefined;

  /** Reads the rows and takes the backend's pre-commit hook. */
  constructor(backend: Backend) {
    this.#backend = backend;
    this.#index = readConsistentIndex(backend);
    this.#term = readTerm(backend);
    this.#written = this.#index;
    backend.setPreCommitHook(() => this.#write(backend));
  }

  /** Reads the rows again: the database was replaced by that of a snapshot. */
  reload(): void {
    this.#index = readConsistentIndex(this.#backend);
    this.#term = readTerm(this.#backend);
    this.#written = this.#index;
    this.#unwrittenConfState = undefined;
  }

  get index(): number {
    return this.#index;
  }

  /** Term of the entry at {@link index}; 0 when the database does not say (before 3.5). */
  get term(): number {
    return this.#term;
  }

  /** Moves on to the entry that is about to be applied. */
  moveTo(index: number, term: number): void {
    assert(index > this.#index, "the consistent index only rises");
    this.#index = index;
    this.#term = term;
  }

  /** To be stored with the next commit. */
  setConfState(state: ConfState): void {
    this.#unwrittenConfState = state;
  }

  #write(backend: Backend): void {
    if (this.#index !== this.#written) writeConsistentIndex(backend, this.#index, this.#term);
    this.#written = this.#index;
    if (this.#unwrittenConfState !== undefined) writeConfState(backend, this.#unwrittenConfState);
    this.#unwrittenConfState = undefined;
  }
}
