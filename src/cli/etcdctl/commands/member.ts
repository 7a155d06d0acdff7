/** `etcdctl member`. */
import { methods } from "../../../client/methods.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments, CommandFailure, ExitCode, messageOf } from "../../shared/failure.ts";
import { parseUint64 } from "../../shared/go-number.ts";
import { quote } from "../../shared/go-quote.ts";
import { openContext, request } from "../connect.ts";
import { isSerializable } from "./get.ts";

export const memberCommand: Command = {
  name: "member",
  synopsis: "<subcommand>",
  summary: "Membership related commands",
  commands: [
    {
      name: "add",
      synopsis: "<memberName> [options]",
      summary: "Adds a member into the cluster",
      flags: [
        {
          name: "peer-urls",
          type: "string",
          initial: "",
          usage: "comma separated peer URLs for the new member.",
        },
        { name: "learner", type: "bool", initial: false, usage: "indicates if the new member is raft learner" },
      ],
      run: add,
    },
    { name: "remove", synopsis: "<memberID>", summary: "Removes a member from the cluster", run: remove },
    {
      name: "update",
      synopsis: "<memberID> [options]",
      summary: "Updates a member in the cluster",
      flags: [
        {
          name: "peer-urls",
          type: "string",
          initial: "",
          usage: "comma separated peer URLs for the updated member.",
        },
      ],
      run: update,
    },
    {
      name: "list",
      summary: "Lists all members in the cluster",
      description: `When --write-out is set to simple, this command prints out comma-separated member lists for each endpoint.
The items in the lists are ID, Status, Name, Peer Addrs, Client Addrs, Is Learner.
`,
      flags: [{ name: "consistency", type: "string", initial: "l", usage: "Linearizable(l) or Serializable(s)" }],
      run: list,
    },
    {
      name: "promote",
      synopsis: "<memberID>",
      summary: "Promotes a non-voting member in the cluster",
      description: "Promotes a non-voting learner member to a voting one in the cluster.\n",
      run: promote,
    },
  ],
};

async function add(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length < 1) throw badArguments("member name not provided");
  if (args.length > 1) {
    const urls = args.filter((argument) => argument.toLowerCase().startsWith("http"));
    throw badArguments(`too many arguments${urls.map((url) => `, did you mean --peer-urls=${url}`).join("")}`);
  }
  const [name] = args;
  const peerUrls = flags.text("peer-urls");
  if (peerUrls === "") throw badArguments("member peer urls not provided");
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const urls = peerUrls.split(",");
  for (const url of urls) checkPeerUrl(url.trim());
  const fields = { peerURLs: urls, isLearner: flags.bool("learner") };
  const response = await request(client.call(methods.memberAdd, fields, { timeoutMs }));
  printer.print("memberAdd", { response });
  if (printer.format !== "simple") return;
  // What the new member's environment must hold.
  const cluster = response.members.flatMap((member) => {
    const memberName = member.ID === response.member?.ID ? name : member.name;
    return member.peerURLs.map((url) => `${memberName}=${url}`);
  });
  terminal.output.write(`\nETCD_NAME=${quote(name)}\n`);
  terminal.output.write(`ETCD_INITIAL_CLUSTER=${quote(cluster.join(","))}\n`);
  terminal.output.write(`ETCD_INITIAL_ADVERTISE_PEER_URLS=${quote(peerUrls)}\n`);
  terminal.output.write('ETCD_INITIAL_CLUSTER_STATE="existing"\n');
}

async function remove(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args);
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.memberRemove, { ID: memberId }, { timeoutMs }));
  printer.print("memberRemove", { response, memberId });
}

async function update(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args);
  const peerUrls = invocation.flags.text("peer-urls");
  if (peerUrls === "") throw badArguments("member peer urls not provided");
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const fields = { ID: memberId, peerURLs: peerUrls.split(",") };
  const response = await request(client.call(methods.memberUpdate, fields, { timeoutMs }));
  printer.print("memberUpdate", { response, memberId });
}

async function list(invocation: Invocation): Promise<void> {
  const linearizable = !isSerializable(invocation.flags.text("consistency"));
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.memberList, { linearizable }, { timeoutMs }));
  printer.print("memberList", { response });
}

async function promote(invocation: Invocation): Promise<void> {
  const memberId = memberIdOf(invocation.args);
  const { connect, printer, timeoutMs } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.memberPromote, { ID: memberId }, { timeoutMs }));
  printer.print("memberPromote", { response, memberId });
}

/** The client's own check of a new member's URL. @throws {CommandFailure} */
function checkPeerUrl(url: string): void {
  const fail = (text: string) => new CommandFailure(ExitCode.Error, `${text}: ${url}`);
  const [, scheme, , host, path] = /^(?:([a-z][a-z0-9+.-]*):)?(\/\/([^/?#]*))?([^?#]*)/i.exec(url) ?? [];
  if (scheme === "unix" || scheme === "unixs") return;
  if (scheme !== "http" && scheme !== "https") throw fail("URL scheme must be http, https, unix, or unixs");
  if (!/^(\[[^\]]*\]|[^:]*):[^:]*$/.test(host ?? "")) throw fail('URL address does not have the form "host:port"');
  if (path !== "") throw fail("URL must not contain a path");
}

/** @throws {CommandFailure} */
function memberIdOf(args: readonly string[]): bigint {
  if (args.length !== 1) throw badArguments("member ID is not provided");
  try {
    return parseUint64(args[0], 16);
  } catch (error) {
    throw badArguments(`bad member ID arg (${messageOf(error)}), expecting ID in Hex`);
  }
}
