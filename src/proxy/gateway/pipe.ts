/** Two connections joined: what comes out of one goes into the other, no faster than that takes it. */
import { copyBytes } from "../../base/bytes.ts";
import type { Connection } from "../../platform/network.ts";

/**
 * Joins them until both ends have finished or either is lost, which ends the other.
 *
 * @param one - paused.
 * @param closed - called once, when both are gone.
 */
export function joinConnections(one: Connection, other: Connection, closed: () => void): void {
  let open = 2;
  const gone = (): void => {
    open--;
    if (open === 0) closed();
  };
  forward(one, other, gone);
  forward(other, one, gone);
  one.resume();
}

function forward(source: Connection, target: Connection, gone: () => void): void {
  source.setHandlers({
    data(chunk) {
      // The chunk lies in a buffer that is used again; what the system does not take at once would be overwritten.
      if (!target.write(copyBytes(chunk))) source.pause();
    },
    end: () => target.end(),
    // Of what is written into this one, the other is the source.
    drained: () => target.resume(),
    closed() {
      target.destroy();
      gone();
    },
  });
}
