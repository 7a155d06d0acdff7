/**
 * `--log-rotation-config-json`: what it says, checked, with the texts that Go's decoder has for mistakes. Names of fields
 * count in any case, unknown ones are ignored.
 */

export interface LogRotation {
  /** A file that would grow beyond this is put aside. */
  readonly maxBytes: number;
  /** Days that old files stay; 0 = any. */
  readonly maxAgeDays: number;
  /** Old files that stay; 0 = any number. */
  readonly maxBackups: number;
  /** Names of old files bear local time; UTC else. */
  readonly localTime: boolean;
  /** Old files are compressed with gzip. */
  readonly compress: boolean;
}

const megabyte = 1024 * 1024;
const maxMegabytesDefault = 100;
const types = {
  maxsize: "int",
  maxage: "int",
  maxbackups: "int",
  localtime: "bool",
  compress: "bool",
  filename: "string",
} as const;

/** @throws {Error} with etcd's text. */
export function checkRotationOutputs(outputs: readonly string[]): void {
  const files = outputs.filter((output) => !["default", "stderr", "stdout"].includes(output));
  if (files.length > 1 || (files.length === 0 && outputs.length <= 1)) {
    throw new Error("--log-outputs requires a single file path when --log-rotate-config-json is defined");
  }
}

/** @throws {Error} with etcd's text, or ours for values that make no sense, which etcd accepts and then logs nothing. */
export function parseLogRotation(json: string): LogRotation {
  const value = decode(json);
  if (value !== null && (typeof value !== "object" || Array.isArray(value))) {
    throw new Error(
      `invalid log rotation config: json: cannot unmarshal ${goType(value)} into Go value of type embed.logRotationConfig`,
    );
  }
  const fields = new Map<string, unknown>();
  for (const [key, field] of Object.entries(value ?? {})) {
    const name = key.toLowerCase();
    if (field === null || !Object.hasOwn(types, name)) continue;
    checkType(name as keyof typeof types, field, json);
    fields.set(name, field);
  }
  const number = (name: string): number => {
    const given = (fields.get(name) ?? 0) as number;
    if (given < 0) throw new Error(`invalid log rotation config: ${name} is ${given}, and must not be negative`);
    return given;
  };
  return {
    maxBytes: (number("maxsize") || maxMegabytesDefault) * megabyte,
    maxAgeDays: number("maxage"),
    maxBackups: number("maxbackups"),
    localTime: fields.get("localtime") === true,
    compress: fields.get("compress") === true,
  };
}

function decode(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch (cause) {
    throw new Error(`improperly formatted log rotation config: ${goSyntaxError(json, String(cause))}`, { cause });
  }
}

function goSyntaxError(json: string, text: string): string {
  const position = Number(/position (\d+)/.exec(text)?.[1] ?? json.length);
  if (position >= json.length) return "unexpected end of JSON input";
  const isAfterValue = text.includes("after JSON");
  return `invalid character '${json[position]}' ${isAfterValue ? "after top-level value" : "looking for beginning of value"}`;
}

function checkType(name: keyof typeof types, value: unknown, json: string): void {
  const type = types[name];
  const isRight =
    type === "int" ? Number.isSafeInteger(value) : typeof value === (type === "bool" ? "boolean" : "string");
  if (isRight) return;
  const isNumber = type === "int" && typeof value === "number";
  // Go shows the number as it was written.
  const written = new RegExp(`"${name}"\\s*:\\s*([-+.\\deE]+)`, "i").exec(json)?.[1] ?? String(value);
  const what = isNumber ? `number ${written}` : goType(value);
  throw new Error(
    `invalid log rotation config: json: cannot unmarshal ${what} into Go struct field logRotationConfig.Logger.${name} of type ${type}`,
  );
}

function goType(value: unknown): string {
  if (Array.isArray(value)) return "array";
  return typeof value === "boolean" ? "bool" : typeof value;
}
