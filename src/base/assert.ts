/**
 * Assertions: what we believe about our own code. A failure is a bug of ours and stops the process; input from
 * clients, peers and disks is validated instead and gets an error of its own.
 */

/** A broken invariant. Nobody catches it: the process logs it and exits. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Throws {@link InvariantError} unless `condition` holds. `message` is a constant: a template would be built every time. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}

/** For the default branch of an exhaustive switch. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${String(value)}`);
}

let verifying = false;

/** Turns the costly self-checks of {@link verify} on or off (on in tests, and with `ETCD_VERIFY=all`). */
export function setVerify(on: boolean): void {
  verifying = on;
}

/** Runs a costly self-check when verification is on. The check throws when it finds a fault. */
export function verify(check: () => void): void {
  if (verifying) check();
}
