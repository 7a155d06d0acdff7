/**
 * The help text of etcd's tools: sections `NAME:`, `USAGE:`, `COMMANDS:`, `DESCRIPTION:`, `OPTIONS:` and so on, with
 * columns aligned by tabs (Go's text/tabwriter with tab width 8).
 */
import { helpFlag, pathName, shownCommands, type Command, type CommandPath, type Program } from "./command.ts";
import { formatValue, type FlagSpec } from "./flags.ts";

const tabWidth = 8;

/** The whole help of the last command of `path`, in sections. */
function usageText(program: Program, path: CommandPath, showsHelpFlag: boolean): string {
  const command = path[path.length - 1];
  const isRoot = path.length === 1;
  const groups = command.commands !== undefined;
  let text = `NAME:\n  ${isRoot ? command.name : pathName(path.slice(1))} - ${command.summary}\n\n`;
  text += `USAGE:\n${indent(usageLine(path))}\n`;
  if (isRoot) text += `\nVERSION:\n${indent(program.version)}\n`;
  if (groups) text += `\nAPI VERSION:\n${indent(program.apiVersion)}\n`;
  if (command.example !== undefined) text += `\nExamples:\n${command.example}\n`;
  if (groups) text += `\nCOMMANDS:\n${alignColumns(commandRows(command, ""))}`;
  if (command.description !== undefined) {
    const lines = command.description.replace(/^[\n\t ]+|[\n\t ]+$/g, "").split("\n");
    text += `\nDESCRIPTION:\n${lines.map((line) => `${indent(line)}\n`).join("")}`;
  }
  text += `\nOPTIONS:\n${alignColumns(flagRows(showsHelpFlag ? ownFlags(command) : declaredFlags(command)))}`;
  const inherited = path.slice(0, -1).flatMap((parent) => parent.sharedFlags ?? []);
  if (inherited.length > 0) text += `\nGLOBAL OPTIONS:\n${alignColumns(flagRows(inherited))}`;
  return `${text}\n`;
}

/** `etcdctl put [options] <key> <value> [flags]`. */
export function usageLine(path: readonly Command[]): string {
  const command = path[path.length - 1];
  const words = [pathName(path)];
  if (command.synopsis !== undefined) words.push(command.synopsis);
  if (command.bareUsageLine !== true && !(command.synopsis ?? "").includes("[flags]")) words.push("[flags]");
  return words.join(" ");
}

function indent(text: string): string {
  return `  ${text.replaceAll("\n", "\n  ")}`;
}

/** Every runnable command below, in order of name. */
function commandRows(command: Command, prefix: string): [string, string][] {
  return shownCommands(command).flatMap((child): [string, string][] => {
    const name = `${prefix}${child.name}`;
    const below = commandRows(child, `${name} `);
    return child.run === undefined ? below : [[`  ${name}`, child.summary], ...below];
  });
}

function flagRows(specs: readonly FlagSpec[]): [string, string][] {
  const sorted = [...specs].sort((a, b) => (a.name < b.name ? -1 : 1));
  return sorted.map((spec) => {
    const name = spec.shorthand === undefined ? `      --${spec.name}` : `  -${spec.shorthand}, --${spec.name}`;
    const value = spec.type === "string" ? JSON.stringify(spec.initial) : formatValue(spec.initial);
    return [spec.type === "bool" ? `${name}[=${value}]` : `${name}=${value}`, spec.usage];
  });
}

/** Two columns, the first filled up with tabs to the next stop behind its widest cell. */
function alignColumns(rows: readonly (readonly [string, string])[]): string {
  const widest = Math.max(0, ...rows.map(([cell]) => cell.length + 1));
  const width = Math.ceil(widest / tabWidth) * tabWidth;
  return rows
    .map(([cell, text]) => `${cell}${"\t".repeat(Math.ceil((width - cell.length) / tabWidth))}${text}\n`)
    .join("");
}

/** Help in the style of a program. */
export function helpText(program: Program, path: CommandPath, { showsHelpFlag = true } = {}): string {
  if (program.style === "sections") return usageText(program, path, showsHelpFlag);
  const summary = program.style === "summarized" ? `${path[path.length - 1].summary}\n\n` : "";
  return summary + plainUsage(path);
}

/** Narrowest column of command names. */
const nameWidthMin = 11;

/** The usage that Go's cobra prints by itself: that of etcdutl, and of the lines within `txn`. */
export function plainUsage(path: CommandPath): string {
  const command = path[path.length - 1];
  const children = shownCommands(command);
  const line = children.length > 0 && command.run === undefined ? `${pathName(path)} [command]` : usageLine(path);
  let text = `Usage:\n  ${line}\n`;
  if (children.length > 0) {
    const width = Math.max(nameWidthMin, ...children.map((child) => child.name.length));
    const rows = children.map((child) => `  ${child.name.padEnd(width)} ${child.summary}\n`);
    text += `\nAvailable Commands:\n${rows.join("")}`;
  }
  text += `\nFlags:\n${plainFlags(ownFlags(command))}`;
  const inherited = path.slice(0, -1).flatMap((parent) => parent.sharedFlags ?? []);
  if (inherited.length > 0) text += `\nGlobal Flags:\n${plainFlags(inherited)}`;
  if (children.length > 0) text += `\nUse "${pathName(path)} [command] --help" for more information about a command.\n`;
  return text;
}

const kindNames = {
  bool: "",
  string: " string",
  integer: " int",
  unsigned: " uint",
  duration: " duration",
  list: " strings",
};

function plainFlags(specs: readonly FlagSpec[]): string {
  const sorted = [...specs].sort((a, b) => (a.name < b.name ? -1 : 1));
  const rows = sorted.map((spec): [string, string] => {
    const name = spec.shorthand === undefined ? `      --${spec.name}` : `  -${spec.shorthand}, --${spec.name}`;
    return [
      name + (spec.kindName === undefined ? kindNames[spec.type] : ` ${spec.kindName}`),
      spec.usage + defaultText(spec),
    ];
  });
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}   ${text}\n`).join("");
}

/** Go shows a default unless it is its type's zero. */
function defaultText(spec: FlagSpec): string {
  if ([false, "", 0n, 0].includes(spec.initial as string) || formatValue(spec.initial) === "[]") return "";
  return ` (default ${spec.type === "string" ? JSON.stringify(spec.initial) : formatValue(spec.initial)})`;
}

function ownFlags(command: Command): FlagSpec[] {
  return [...declaredFlags(command), helpFlag(command)];
}

function declaredFlags(command: Command): FlagSpec[] {
  return [...(command.sharedFlags ?? []), ...(command.flags ?? [])];
}
