/** The conf change traces: membership arithmetic on its own, one file being one history. */
import { Changer, ConfChangeError } from "../../src/raft/confchange/changer.ts";
import type { Membership } from "../../src/raft/confchange/changer.ts";
import { parseConfChanges } from "../../src/raft/confchange/notation.ts";
import { describeConfig, describeProgressMap } from "../../src/raft/describe.ts";
import { Tracker } from "../../src/raft/tracker.ts";
import type { ConfChangeSingle } from "../../src/wire/raft/types.ts";
import { toBoolean } from "./script.ts";
import type { Step } from "./script.ts";

export class ConfChangeBench {
  readonly #tracker = new Tracker({ inflightCountMax: 10, inflightBytesMax: Infinity });
  /** Goes up with every step, those that fail too. */
  #lastIndex = 0;

  run(step: Step): string {
    try {
      return this.#run(step);
    } finally {
      this.#lastIndex++;
    }
  }

  #run(step: Step): string {
    let changes: ConfChangeSingle[];
    try {
      changes = parseConfChanges(step.input);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    try {
      const { config, progress } = this.#change(step, changes);
      this.#tracker.install(config, progress);
      return `${describeConfig(config)}\n${describeProgressMap(progress)}`;
    } catch (error) {
      if (error instanceof ConfChangeError) return `${error.message}\n`;
      throw error;
    }
  }

  #change(step: Step, changes: readonly ConfChangeSingle[]): Membership {
    const changer = new Changer(this.#tracker, this.#lastIndex);
    switch (step.command) {
      case "simple":
        return changer.simple(changes);
      case "enter-joint": {
        const autoLeave = step.args.find((arg) => arg.key === "autoleave")?.values[0] ?? "false";
        return changer.enterJoint(toBoolean(autoLeave), changes);
      }
      case "leave-joint":
        if (changes.length > 0) throw new ConfChangeError("this command takes no input");
        return changer.leaveJoint();
      default:
        throw new ConfChangeError("unknown command");
    }
  }
}
