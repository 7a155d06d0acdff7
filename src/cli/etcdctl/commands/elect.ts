/** `etcdctl elect`: takes part in an election, or watches one with `--listen`. */
import { Election, Session, sessionTtlSeconds } from "../../../client/concurrency.ts";
import { methods } from "../../../client/methods.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import type { Command } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode } from "../../shared/failure.ts";
import { openContext, request } from "../connect.ts";
import { aborted, untilSignal } from "../until-signal.ts";

export const electCommand: Command = {
  name: "elect",
  synopsis: "<election-name> [proposal]",
  summary: "Observes and participates in leader election",
  flags: [{ name: "listen", shorthand: "l", type: "bool", initial: false, usage: "observation mode" }],
  async run(invocation) {
    const { args, flags, terminal } = invocation;
    if (args.length !== 1 && args.length !== 2) {
      throw badArguments("elect takes one election name argument and an optional proposal argument");
    }
    const [name, proposal] = args;
    const isListening = flags.bool("listen");
    const { connect, printer } = await openContext(invocation);
    const client = await connect();
    if (proposal === undefined && !isListening) throw badArguments("no proposal argument but -l not set");
    if (proposal !== undefined && isListening) throw badArguments("proposal given but -l is set");
    const session = await request(Session.open(client, sessionTtlSeconds));
    const election = new Election(session, bytesOf(name));
    const stop = untilSignal();
    if (proposal === undefined) {
      const observation = election.observe((response) => {
        printer.print("get", { response });
        terminal.flush();
      }, stop);
      await observation.catch(() => undefined); // why it ended is told below
      if (!stop.aborted) throw new CommandFailure(ExitCode.Error, "elect: observer lost");
      return;
    }
    await request(election.campaign(bytesOf(proposal), stop));
    printer.print("get", { response: await request(client.call(methods.range, { key: election.key })) });
    terminal.flush();
    const isExpired = await Promise.race([aborted(stop).then(() => false), session.expired.then(() => true)]);
    if (isExpired) throw new CommandFailure(ExitCode.Error, "elect: session expired");
    await request(election.resign());
  },
};
