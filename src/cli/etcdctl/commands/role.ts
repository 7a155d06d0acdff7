/** `etcdctl role`. */
import { prefixEnd } from "../../../base/bytes.ts";
import { methods } from "../../../client/methods.ts";
import { Permission_Type as PermissionType } from "../../../wire/gen/authpb/auth.ts";
import { bytesOf } from "../../shared/argument-bytes.ts";
import type { Command, Invocation } from "../../shared/command.ts";
import { badArguments } from "../../shared/failure.ts";
import type { FlagSet, FlagSpec } from "../../shared/flags.ts";
import { openContext, request } from "../connect.ts";
import type { KeyRange } from "./key-range.ts";

function rangeFlags(verb: string): readonly FlagSpec[] {
  return [
    { name: "prefix", type: "bool", initial: false, usage: `${verb} a prefix permission` },
    {
      name: "from-key",
      type: "bool",
      initial: false,
      usage: `${verb} a permission of keys that are greater than or equal to the given key using byte compare`,
    },
  ];
}

export const roleCommand: Command = {
  name: "role",
  synopsis: "<subcommand>",
  summary: "Role related commands",
  commands: [
    { name: "add", synopsis: "<role name>", summary: "Adds a new role", run: add },
    { name: "delete", synopsis: "<role name>", summary: "Deletes a role", run: remove },
    { name: "get", synopsis: "<role name>", summary: "Gets detailed information of a role", run: get },
    { name: "list", summary: "Lists all roles", run: list },
    {
      name: "grant-permission",
      synopsis: "[options] <role name> <permission type> <key> [endkey]",
      summary: "Grants a key to a role",
      flags: rangeFlags("grant"),
      run: grantPermission,
    },
    {
      name: "revoke-permission",
      synopsis: "<role name> <key> [endkey]",
      summary: "Revokes a key from a role",
      flags: rangeFlags("revoke"),
      run: revokePermission,
    },
  ],
};

async function add(invocation: Invocation): Promise<void> {
  const role = onlyRole("add", invocation.args);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("roleAdd", { response: await request(client.call(methods.roleAdd, { name: role })), role });
}

async function remove(invocation: Invocation): Promise<void> {
  const role = onlyRole("delete", invocation.args);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("roleDelete", { response: await request(client.call(methods.roleDelete, { role })), role });
}

async function get(invocation: Invocation): Promise<void> {
  const role = onlyRole("get", invocation.args);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("roleGet", { response: await request(client.call(methods.roleGet, { role })), role });
}

async function list(invocation: Invocation): Promise<void> {
  if (invocation.args.length > 0) throw badArguments("role list command requires no arguments");
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  printer.print("roleList", { response: await request(client.call(methods.roleList, {})) });
}

const permissionTypes: Readonly<Record<string, PermissionType>> = {
  READ: PermissionType.READ,
  WRITE: PermissionType.WRITE,
  READWRITE: PermissionType.READWRITE,
};

async function grantPermission(invocation: Invocation): Promise<void> {
  const { args, flags } = invocation;
  if (args.length < 3) {
    throw badArguments("role grant command requires role name, permission type, and key [endkey] as its argument");
  }
  const [role, type, ...keys] = args;
  const name = type.toUpperCase();
  if (!Object.hasOwn(permissionTypes, name)) throw badArguments(`invalid permission type: ${type}`);
  const perm = { permType: permissionTypes[name], ...permissionRange(flags, keys) };
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.roleGrantPermission, { name: role, perm }));
  printer.print("roleGrantPermission", { response, role });
}

async function revokePermission(invocation: Invocation): Promise<void> {
  const { args, flags } = invocation;
  if (args.length < 2) {
    throw badArguments("role revoke-permission command requires role name and key [endkey] as its argument");
  }
  const [role, ...keys] = args;
  const range = permissionRange(flags, keys);
  const { connect, printer } = await openContext(invocation);
  const client = await connect();
  const response = await request(client.call(methods.roleRevokePermission, { role, ...range }));
  printer.print("roleRevokePermission", { response, role, key: keys[0], rangeEnd: range.rangeEnd });
}

/** `[0]`: the lowest key, and as an end "to the end of the key space". */
const zeroByte = Uint8Array.of(0);
const noBytes = new Uint8Array(0);

/** The range of a permission; the empty key stands for the whole key space. @throws {CommandFailure} */
function permissionRange(flags: FlagSet, [key, end]: readonly string[]): KeyRange {
  const isPrefix = flags.bool("prefix");
  const isOpen = flags.bool("from-key");
  const bytes = bytesOf(key);
  if (isPrefix && isOpen && (bytes.length === 0 || end === undefined)) {
    throw badArguments("--from-key and --prefix flags are mutually exclusive");
  }
  if (bytes.length === 0) return { key: zeroByte, rangeEnd: isPrefix || isOpen ? zeroByte : noBytes };
  if (end !== undefined && isPrefix) throw badArguments("unexpected endkey argument with --prefix flag");
  if (end !== undefined && isOpen) throw badArguments("unexpected endkey argument with --from-key flag");
  if (end !== undefined) return { key: bytes, rangeEnd: bytesOf(end) };
  if (isPrefix) return { key: bytes, rangeEnd: prefixEnd(bytes) };
  return { key: bytes, rangeEnd: isOpen ? zeroByte : noBytes };
}

/** @throws {CommandFailure} */
function onlyRole(name: string, args: readonly string[]): string {
  if (args.length !== 1) throw badArguments(`role ${name} command requires role name as its argument`);
  return args[0];
}
