/** The end of one compaction's background work, for those who want to know. */
export class PhysicalCompaction {
  #isDone = false;
  #callbacks: (() => void)[] = [];

  readonly done = (): void => {
    this.#isDone = true;
    for (const callback of this.#callbacks) callback();
    this.#callbacks = [];
  };

  /** Calls back once; at once when it is over already. */
  whenDone(callback: () => void): void {
    if (this.#isDone) callback();
    else this.#callbacks.push(callback);
  }
}
