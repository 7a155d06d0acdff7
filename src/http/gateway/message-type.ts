/** What the JSON gateway knows of a message: its fields by name and number, from the generated schema. */
import { assert } from "../../base/assert.ts";
import { enumValues, messageFields } from "../../wire/gen/schema.ts";

type ScalarKind = "bytes" | "string" | "bool" | "int64" | "uint64" | "uint32";

interface FieldNames {
  readonly number: number;
  /** As in the .proto file; what answers use. */
  readonly name: string;
  /** In lowerCamelCase; what errors name. */
  readonly jsonName: string;
  readonly isRepeated: boolean;
  /** Full name of the oneof that the field belongs to. */
  readonly oneof: string | undefined;
}

export type Field = FieldNames &
  (
    | { readonly kind: ScalarKind }
    | {
        readonly kind: "enum";
        readonly numbers: ReadonlyMap<string, number>;
        readonly names: ReadonlyMap<number, string>;
      }
    | { readonly kind: "message"; readonly type: MessageType }
  );

export interface MessageType {
  readonly name: string;
  /** By both of its names. */
  readonly byName: ReadonlyMap<string, Field>;
  readonly byNumber: ReadonlyMap<number, Field>;
}

const known = new Map<string, MessageType>();

/** The type of that full name, read from the schema when first asked for. */
export function messageType(name: string): MessageType {
  const found = known.get(name);
  if (found !== undefined) return found;
  const text = messageFields[name];
  assert(text !== undefined, "a message of the schema");
  const byName = new Map<string, Field>();
  const byNumber = new Map<number, Field>();
  const type: MessageType = { name, byName, byNumber };
  known.set(name, type); // before the fields: messages contain themselves
  for (const line of text === "" ? [] : text.split(",")) {
    const field = parseField(line, name);
    byName.set(field.name, field);
    byName.set(field.jsonName, field);
    byNumber.set(field.number, field);
  }
  return type;
}

/** `5 filters *etcdserverpb.WatchCreateRequest.FilterType`, perhaps with the name of a oneof behind. */
function parseField(line: string, message: string): Field {
  const [number, name, typeText, oneof] = line.split(" ");
  const isRepeated = typeText.startsWith("*");
  const type = isRepeated ? typeText.slice(1) : typeText;
  const names: FieldNames = {
    number: Number(number),
    name,
    jsonName: name.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase()),
    isRepeated,
    oneof: oneof === undefined ? undefined : `${message}.${oneof}`,
  };
  if (!type.includes(".")) return { ...names, kind: type as ScalarKind };
  const values = enumValues[type];
  if (values === undefined) return { ...names, kind: "message", type: messageType(type) };
  const numbers = new Map<string, number>();
  const valueNames = new Map<number, string>();
  for (const one of values.split(" ")) {
    const [value, digits] = one.split("=");
    numbers.set(value, Number(digits));
    valueNames.set(Number(digits), value);
  }
  return { ...names, kind: "enum", numbers, names: valueNames };
}
