/** Steps between a method of a production class and its callers: how the simulator observes, and how it plants bugs. */

/** Takes a change back. */
export type Undo = () => void;

type Method<This, Args extends unknown[], Result> = (this: This, ...args: Args) => Result;

/**
 * Puts `around` in the place of a method. It gets the original first, then the caller's arguments.
 *
 * @param target - a prototype, or a class for its static methods.
 */
export function wrap<
  This extends object,
  Name extends { [Key in keyof This]: This[Key] extends (...args: never[]) => unknown ? Key : never }[keyof This],
>(
  target: This,
  name: Name,
  around: This[Name] extends (...args: infer Args) => infer Result
    ? (this: This, original: Method<This, Args, Result>, ...args: Args) => Result
    : never,
): Undo {
  const descriptor = Object.getOwnPropertyDescriptor(target, name);
  const original = target[name];
  const replacement = function (this: This, ...args: unknown[]): unknown {
    return (around as (this: This, ...all: unknown[]) => unknown).call(this, original, ...args);
  };
  Object.defineProperty(target, name, { value: replacement, configurable: true, writable: true });
  return () => {
    if (descriptor === undefined) delete target[name];
    else Object.defineProperty(target, name, descriptor);
  };
}
