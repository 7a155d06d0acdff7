/**
 * Which of watch's arguments are keys and which are the command behind `--`. The key may also come from the
 * environment; then it must not be given as an argument too.
 */
import { badArguments } from "../shared/failure.ts";

export interface WatchEnvironment {
  /** `ETCDCTL_WATCH_KEY`, or empty. */
  readonly key: string;
  /** `ETCDCTL_WATCH_RANGE_END`, or empty. */
  readonly rangeEnd: string;
}

export interface WatchArguments {
  /** Key and perhaps the end of a range. */
  readonly keys: readonly string[];
  /** Program and arguments to run per event; empty when none. */
  readonly command: readonly string[];
}

/**
 * @param words.raw - everything behind the word `watch`, flags included.
 * @param words.parsed - what is left of it without flags and without the first `--`.
 * @throws {CommandFailure}
 */
export function splitWatchArguments(
  words: { raw: readonly string[]; parsed: readonly string[]; isInteractive: boolean },
  environment: WatchEnvironment,
): WatchArguments {
  const { raw, parsed } = words;
  const separator = raw.indexOf("--");
  const command = separator < 0 ? [] : raw.slice(separator + 1);
  if (separator >= 0 && command.length === 0) {
    throw badArguments("bad number of arguments (found separator --, but no commands)");
  }
  const given = parsed.slice(0, parsed.length - command.length);
  if (environment.key === "") {
    if (separator < 0 && (words.isInteractive ? parsed : raw).length === 0)
      throw badArguments("bad number of arguments");
    return { keys: given, command };
  }
  if (given.length > 0) throw badArguments("bad number of arguments (found conflicting environment key)");
  return { keys: environment.rangeEnd === "" ? [environment.key] : [environment.key, environment.rangeEnd], command };
}
