/** `etcdctl watch`: one watch from arguments, or many from standard input with `-i`; a command may run per event. */
import { prefixEnd } from "../../../base/bytes.ts";
import type { ClientError } from "../../../client/client-error.ts";
import { Watcher } from "../../../client/watcher.ts";
import type { WatchCreateRequest, WatchResponse } from "../../../wire/gen/etcdserverpb/rpc.ts";
import { Event_EventType, type Event } from "../../../wire/gen/mvccpb/kv.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import { flagsOf, type Command, type Invocation } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { FlagError, FlagSet, HelpRequested } from "../../shared/flags.ts";
import { quote, quoteBytes } from "../../shared/go-quote.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { openContext } from "../connect.ts";
import type { Printer } from "../printer.ts";
import { splitWords } from "../shell-words.ts";
import { endFailure, startFailure } from "../spawn-failure.ts";
import { splitWatchArguments, type WatchArguments, type WatchEnvironment } from "../watch-arguments.ts";

export const watchCommand: Command = {
  name: "watch",
  synopsis: "[options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
  summary: "Watches events stream on keys or prefixes",
  flags: [
    { name: "interactive", shorthand: "i", type: "bool", initial: false, usage: "Interactive mode" },
    { name: "prefix", type: "bool", initial: false, usage: "Watch on a prefix if prefix is set" },
    { name: "rev", type: "integer", initial: 0n, usage: "Revision to start watching" },
    {
      name: "prev-kv",
      type: "bool",
      initial: false,
      usage: "get the previous key-value pair before the event happens",
    },
    {
      name: "progress-notify",
      type: "bool",
      initial: false,
      usage: "get periodic watch progress notification from server",
    },
  ],
  async run(invocation) {
    const { flags, terminal } = invocation;
    const environment = watchEnvironment(terminal);
    if (flags.bool("interactive")) await watchInteractively(invocation, environment);
    else await watchArguments(invocation, environment);
  },
};

async function watchArguments(invocation: Invocation, environment: WatchEnvironment): Promise<void> {
  const { flags, args, processArguments, terminal } = invocation;
  const behindName = processArguments.slice(processArguments.indexOf("watch") + 1);
  const words = splitWatchArguments({ raw: behindName, parsed: args, isInteractive: false }, environment);
  const { connect, printer } = await openContext(invocation, { isWatch: true });
  const watcher = new Watcher(await connect());
  const request = watchRequest(flags, words.keys);
  const runner = await createRunner(words.command, terminal);
  await new Promise<void>((resolve) => {
    watcher.watch(request, watchHandlers(runner, printer, terminal, resolve));
  });
  throw new CommandFailure(ExitCode.Interrupted, "watch is canceled by the server");
}

async function watchInteractively(invocation: Invocation, environment: WatchEnvironment): Promise<void> {
  const { terminal } = invocation;
  const { connect, printer } = await openContext(invocation, { isWatch: true });
  const watcher = new Watcher(await connect());
  for await (const { text, complete } of terminal.lines()) {
    if (!complete) break;
    const words = splitWords(text);
    switch (words[0]) {
      case undefined:
        terminal.error.write(`Invalid command: ${text} (watch and progress supported)\n`);
        break;
      case "watch":
        await watchLine(text, words, watcher, { printer, terminal, environment });
        break;
      case "progress":
        await watcher.requestProgress();
        break;
      default:
        terminal.error.write(`Invalid command ${text} (only support watch)\n`);
    }
  }
  throw new CommandFailure(ExitCode.InvalidInput, "error reading watch request line: EOF");
}

interface LineContext {
  readonly printer: Printer;
  readonly terminal: Terminal;
  readonly environment: WatchEnvironment;
}

async function watchLine(
  text: string,
  words: readonly string[],
  watcher: Watcher,
  context: LineContext,
): Promise<void> {
  const { printer, terminal, environment } = context;
  if (words.length < 2 && environment.key === "") {
    terminal.error.write(`Invalid command ${text} (command type or key is not provided)\n`);
    return;
  }
  const raw = words.slice(1);
  const flags = new FlagSet(flagsOf([watchCommand]));
  try {
    flags.parse(raw);
  } catch (error) {
    if (error instanceof FlagError || error instanceof HelpRequested) {
      throw badArguments(error instanceof FlagError ? error.message : "pflag: help requested");
    }
    throw error;
  }
  const split: WatchArguments = splitWatchArguments({ raw, parsed: flags.arguments, isInteractive: true }, environment);
  let request: WatchCreateRequest;
  try {
    request = watchRequest(flags, split.keys);
  } catch (error) {
    terminal.error.write(`Invalid command ${text} (${messageOf(error)})\n`);
    return;
  }
  watcher.watch(
    request,
    watchHandlers(await createRunner(split.command, terminal), printer, terminal, () => undefined),
  );
}

/** @throws {CommandFailure} */
function watchEnvironment({ environment }: Terminal): WatchEnvironment {
  const key = environment["ETCDCTL_WATCH_KEY"] ?? "";
  const rangeEnd = environment["ETCDCTL_WATCH_RANGE_END"] ?? "";
  if (key === "" && rangeEnd !== "") {
    throw badArguments(`ETCDCTL_WATCH_KEY is empty but got ETCDCTL_WATCH_RANGE_END=${quote(rangeEnd)}`);
  }
  return { key, rangeEnd };
}

/** @throws {CommandFailure} */
function watchRequest(flags: FlagSet, keys: readonly string[]): WatchCreateRequest {
  if (keys.length < 1) throw badArguments("bad number of arguments");
  const isPrefix = flags.bool("prefix");
  if (keys.length === 2 && isPrefix) throw badArguments("`range_end` and `--prefix` are mutually exclusive");
  const key = bytesOf(keys[0]);
  return {
    ...keyAndEnd(key, isPrefix, keys.length === 2 ? bytesOf(keys[1]) : new Uint8Array(0)),
    startRevision: flags.integer("rev"),
    progressNotify: flags.bool("progress-notify"),
    filters: [],
    prevKv: flags.bool("prev-kv"),
    watchId: 0n,
    fragment: false,
  };
}

/** The empty prefix is the whole key space, which the API writes as `[0]` to `[0]`. */
function keyAndEnd(
  key: Uint8Array,
  isPrefix: boolean,
  rangeEnd: Uint8Array,
): { key: Uint8Array; rangeEnd: Uint8Array } {
  if (!isPrefix) return { key, rangeEnd };
  return key.length === 0 ? { key: Uint8Array.of(0), rangeEnd: Uint8Array.of(0) } : { key, rangeEnd: prefixEnd(key) };
}

/** Runs the user's command for one event. @throws {CommandFailure} when it fails: that ends the watch. */
type EventRunner = (event: Event, revision: bigint) => void;

function watchHandlers(runner: EventRunner | undefined, printer: Printer, terminal: Terminal, ended: () => void) {
  let cancelled: WatchResponse | undefined;
  return {
    response(response: WatchResponse): void {
      // The reason comes with `closed`, and stands before the response.
      if (response.canceled) cancelled = response;
      else orExit(terminal, () => printResponse(response));
    },
    closed(error: ClientError | undefined): void {
      if (cancelled !== undefined) {
        terminal.error.write(`watch was canceled (${error?.message ?? ""})\n`);
        const response = cancelled;
        orExit(terminal, () => printer.print("watch", { response }));
      }
      ended();
    },
  };

  function printResponse(response: WatchResponse): void {
    const revision = response.header?.revision ?? 0n;
    const isProgress = response.events.length === 0 && response.compactRevision === 0n && revision !== 0n;
    if (isProgress) terminal.output.write(`progress notify: ${revision}\n`);
    printer.print("watch", { response });
    terminal.flush();
    if (runner !== undefined) for (const event of response.events) runner(event, revision);
  }
}

/** Watches call back outside of the command: a failure there ends the process at once, as it does in etcdctl. */
function orExit(terminal: Terminal, print: () => void): void {
  try {
    print();
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error;
    if (error.message !== "") terminal.error.write(`Error: ${error.message}\n`);
    terminal.flush();
    process.exit(error.exitCode);
  }
}

/** Events are printed and commands run one after the other, so the next event waits for the command's end. */
async function createRunner(command: readonly string[], terminal: Terminal): Promise<EventRunner | undefined> {
  if (command.length === 0) return undefined;
  const { spawnSync } = await import("node:child_process");
  return (event, revision) => {
    const result = spawnSync(command[0], command.slice(1), {
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        ...terminal.environment,
        ETCD_WATCH_REVISION: String(revision),
        ETCD_WATCH_EVENT_TYPE: quote(event.type === Event_EventType.DELETE ? "DELETE" : "PUT"),
        ETCD_WATCH_KEY: quoteBytes(event.kv?.key ?? new Uint8Array(0)),
        ETCD_WATCH_VALUE: quoteBytes(event.kv?.value ?? new Uint8Array(0)),
      },
    });
    if (result.status === 0) return;
    const reason = result.error === undefined ? endFailure(result.status, result.signal) : startFailure(command[0]);
    const words = command.map((word) => quote(word)).join(" ");
    terminal.error.write(`command [${words}] error (${reason})\n`);
    throw new CommandFailure(ExitCode.Error, undefined);
  };
}
