/**
 * JSON as Go's encoding/json writes the structs of etcd's client: 64-bit numbers as numbers (JavaScript's own
 * serializer cannot), bytes as base64, members in the order of their declaration, zero values left out where the
 * declaration says so, and `<`, `>`, `&` escaped.
 *
 * A {@link Shape} lists the members of a message: our property, Go's name, and how the value is written.
 */
import { asBuffer } from "../../base/bytes.ts";

/** How one member is written. `keepZero` marks members that Go prints even when empty. */
interface Member {
  readonly property: string;
  readonly name: string;
  readonly keepZero?: boolean;
  /** Shape of a message, or of each message of a list; absent for plain values. */
  readonly shape?: Shape;
  /** The members of the message stand among those of its owner (Go's embedded struct). */
  readonly inline?: boolean;
  /** What an empty list prints as; Go distinguishes absent and empty. */
  readonly emptyList?: "null" | "[]";
}

export type Shape = readonly Member[];

/** Escapes of Go's HTML-safe strings besides JSON's own. */
const goEscapes: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** @param value - a message that has the properties of `shape`. */
export function goJson(value: object, shape: Shape): string {
  return `{${membersOf(value, shape).join(",")}}`;
}

export function goJsonString(text: string): string {
  return JSON.stringify(text).replace(/[<>&\u2028\u2029]/g, (character) => goEscapes[character]);
}

function membersOf(message: object, shape: Shape): string[] {
  const parts: string[] = [];
  for (const member of shape) {
    const value: unknown = Reflect.get(message, member.property);
    if (member.inline === true) {
      if (typeof value === "object" && value !== null) parts.push(...membersOf(value, member.shape ?? []));
    } else if (member.keepZero === true || !isZero(value)) parts.push(`"${member.name}":${valueText(value, member)}`);
  }
  return parts;
}

function isZero(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  return value === undefined || value === false || value === 0 || value === 0n || value === "";
}

function valueText(value: unknown, member: Member): string {
  if (value instanceof Uint8Array) return `"${asBuffer(value).toString("base64")}"`;
  if (Array.isArray(value)) {
    if (value.length === 0 && member.emptyList !== undefined) return member.emptyList;
    return `[${value.map((item: unknown) => valueText(item, member)).join(",")}]`;
  }
  if (typeof value === "string") return goJsonString(value);
  if (typeof value === "object" && value !== null) return goJson(value, member.shape ?? []);
  if (typeof value === "boolean" || typeof value === "number" || typeof value === "bigint") return value.toString();
  return "null";
}
