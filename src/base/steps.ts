/**
 * Long work that may be interrupted: a generator that yields wherever others may have their turn, after a millisecond or
 * two of work. Between two steps anything may happen to the world, except to what the work owns.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** Does all of it without a pause. */
export function runAtOnce<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}
