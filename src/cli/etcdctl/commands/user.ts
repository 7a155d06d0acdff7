/** `etcdctl user`. */
import { methods } from "../../../client/methods.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import type { FlagSpec } from "../../shared/flags.ts";
import { askPassword, readPasswordLine } from "../../shared/password.ts";
import type { Terminal } from "../../shared/terminal.ts";
import { openContext, request } from "../connect.ts";

function interactiveFlag(usage: string): FlagSpec {
  return { name: "interactive", type: "bool", initial: true, usage };
}

export const userCommand: Command = {
  name: "user",
  synopsis: "<subcommand>",
  summary: "User related commands",
  commands: [
    {
      name: "add",
      synopsis: "<user name or user:password> [options]",
      summary: "Adds a new user",
      flags: [
        interactiveFlag("Read password from stdin instead of interactive terminal"),
        {
          name: "new-user-password",
          type: "string",
          initial: "",
          usage: "Supply password from the command line flag",
        },
        {
          name: "no-password",
          type: "bool",
          initial: false,
          usage: "Create a user without password (CN based auth only)",
        },
      ],
      run: add,
    },
    { name: "delete", synopsis: "<user name>", summary: "Deletes a user", run: remove },
    {
      name: "get",
      synopsis: "<user name> [options]",
      summary: "Gets detailed information of a user",
      flags: [{ name: "detail", type: "bool", initial: false, usage: "Show permissions of roles granted to the user" }],
      run: get,
    },
    { name: "list", summary: "Lists all users", run: list },
    {
      name: "passwd",
      synopsis: "<user name> [options]",
      summary: "Changes password of user",
      flags: [interactiveFlag("If true, read password from stdin instead of interactive terminal")],
      run: changePassword,
    },
    { name: "grant-role", synopsis: "<user name> <role name>", summary: "Grants a role to a user", run: grantRole },
    {
      name: "revoke-role",
      synopsis: "<user name> <role name>",
      summary: "Revokes a role from a user",
      run: revokeRole,
    },
  ],
};

async function add(invocation: Invocation): Promise<void> {
  const { args, flags } = invocation;
  if (args.length !== 1) throw badArguments("user add command requires user name as its argument");
  const { name, password } = await newUser(invocation);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const options = { noPassword: flags.bool("no-password") };
  const response = await request(client.call(methods.userAdd, { name, password, options }));
  printer.print("userAdd", { response, user: name });
}

/** Name and password from the flag, from `name:password`, or asked for. */
async function newUser({ args: [argument], flags, terminal }: Invocation): Promise<{ name: string; password: string }> {
  if (flags.bool("no-password")) return { name: argument, password: "" };
  const given = flags.text("new-user-password");
  if (given !== "") return { name: argument, password: given };
  const colon = argument.indexOf(":");
  if (colon === 0) throw badArguments("empty user name is not allowed");
  if (colon > 0) return { name: argument.slice(0, colon), password: argument.slice(colon + 1) };
  return { name: argument, password: await readPassword(argument, flags.bool("interactive"), terminal) };
}

async function remove(invocation: Invocation): Promise<void> {
  const { args } = invocation;
  if (args.length !== 1) throw badArguments("user delete command requires user name as its argument");
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.userDelete, { name: args[0] }));
  printer.print("userDelete", { response, user: args[0] });
}

async function get(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length !== 1) throw badArguments("user get command requires user name as its argument");
  const [user] = args;
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.userGet, { name: user }));
  if (!flags.bool("detail")) {
    printer.print("userGet", { response, user });
    return;
  }
  terminal.output.write(`User: ${user}\n`);
  for (const role of response.roles) {
    terminal.output.write("\n");
    printer.print("roleGet", { response: await request(client.call(methods.roleGet, { role })), role });
  }
}

async function list(invocation: Invocation): Promise<void> {
  if (invocation.args.length > 0) throw badArguments("user list command requires no arguments");
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("userList", { response: await request(client.call(methods.userList, {})) });
}

async function changePassword(invocation: Invocation): Promise<void> {
  const { args, flags, terminal } = invocation;
  if (args.length !== 1) throw badArguments("user passwd command requires user name as its argument");
  const password = await readPassword(args[0], flags.bool("interactive"), terminal);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.userChangePassword, { name: args[0], password }));
  printer.print("userChangePassword", { response });
}

async function grantRole(invocation: Invocation): Promise<void> {
  const { args } = invocation;
  if (args.length !== 2) throw badArguments("user grant command requires user name and role name as its argument");
  const [user, role] = args;
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.userGrantRole, { user, role }));
  printer.print("userGrantRole", { response, user, role });
}

async function revokeRole(invocation: Invocation): Promise<void> {
  const { args } = invocation;
  if (args.length !== 2) throw badArguments("user revoke-role requires user name and role name as its argument");
  const [user, role] = args;
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.userRevokeRole, { name: user, role }));
  printer.print("userRevokeRole", { response, user, role });
}

/** From the terminal, typed twice; or, not interactive, the first word of standard input. */
async function readPassword(user: string, isInteractive: boolean, terminal: Terminal): Promise<string> {
  if (!isInteractive) {
    return /\S+/.exec(readPasswordLine())?.[0] ?? ""; // up to the line's end only: a terminal's input has no other
  }
  const password = await askPassword(`Password of ${user}: `, terminal);
  if (password === "") throw badArguments("empty password");
  const again = await askPassword(`Type password of ${user} again for confirmation: `, terminal);
  if (password !== again) throw badArguments("given passwords are different");
  return password;
}
