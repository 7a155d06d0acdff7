/** `etcdctl lock`: holds a lock until a signal, or as long as a command runs. */
import { Mutex, Session, sessionTtlSeconds } from "../../../client/concurrency.ts";
import { methods } from "../../../client/methods.ts";
import { bytesOf, textOf } from "../../shared/argument-bytes.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import { ToolLogger } from "../../shared/tool-logger.ts";
import { openContext, request } from "../connect.ts";
import { endFailure, startFailure } from "../spawn-failure.ts";
import { aborted, untilSignal } from "../until-signal.ts";

export const lockCommand: Command = {
  name: "lock",
  synopsis: "<lockname> [exec-command arg1 arg2 ...]",
  summary: "Acquires a named lock",
  flags: [{ name: "ttl", type: "integer", initial: 10n, usage: "timeout for session" }],
  async run(invocation) {
    const { args, terminal } = invocation;
    if (args.length === 0) throw badArguments("lock takes a lock name argument and an optional command to execute");
    const { connect, printer } = await openContext(invocation);
    const client = await connect();
    const session = await request(Session.open(client, timeToLive(invocation)));
    const mutex = new Mutex(session, bytesOf(args[0]));
    const stop = untilSignal();
    await request(mutex.lock(stop));
    if (args.length > 1) {
      await runLocked(invocation, mutex);
      return;
    }
    const response = await request(client.call(methods.range, { key: mutex.key }));
    if (response.kvs.length === 0) throw new CommandFailure(ExitCode.Error, "lock lost on init");
    printer.print("get", { response });
    terminal.flush();
    const isExpired = await Promise.race([aborted(stop).then(() => false), session.expired.then(() => true)]);
    if (isExpired) throw new CommandFailure(ExitCode.Error, "session expired");
    await request(mutex.unlock());
  },
};

/** As Go's client: a time that is none leaves the session's own. */
function timeToLive({ flags, terminal }: Invocation): number {
  const seconds = Number(flags.integer("ttl"));
  if (seconds > 0) return seconds;
  const log = new ToolLogger(terminal.error, { logger: "etcd-client", caller: "commands/lock.ts" });
  log.warn("WithTTL(): TTL should be > 0, preserving current TTL", { "current-session-ttl": sessionTtlSeconds });
  return sessionTtlSeconds;
}

/** @throws {CommandFailure} with the command's own exit code when it fails. */
async function runLocked({ args, terminal }: Invocation, mutex: Mutex): Promise<void> {
  const [program, ...rest] = args.slice(1);
  const { spawn } = await import("node:child_process");
  const child = spawn(program, rest, {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      ETCD_LOCK_KEY: textOf(mutex.key),
      ETCD_LOCK_REV: String(mutex.revision),
      ...terminal.environment,
    },
  });
  const failure = await new Promise<CommandFailure | undefined>((resolve) => {
    child.once("error", () => {
      resolve(new CommandFailure(ExitCode.Error, startFailure(program)));
    });
    child.once("exit", (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(new CommandFailure(code ?? ExitCode.Error, endFailure(code, signal)));
    });
  });
  await request(mutex.unlock());
  if (failure !== undefined) throw failure;
}
