/** Runs long work beside everything else. */
import type { Steps } from "../base/steps.ts";
import type { Clock } from "./clock.ts";

/** One step in each turn of the event loop; rejects with what a step throws. */
export function runInTurns<T>(clock: Clock, steps: Steps<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const turn = (): void => {
      try {
        const { done, value } = steps.next();
        if (done === true) resolve(value);
        else clock.nextTurn(turn);
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    };
    turn();
  });
}
