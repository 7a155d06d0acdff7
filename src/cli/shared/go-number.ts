/**
 * Numbers and booleans in text, as Go's strconv reads them: etcd's command lines print strconv's errors verbatim.
 */
const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const uint64 = { min: 0n, max: 2n ** 64n - 1n };

/**
 * Go's `strconv.ParseInt(text, base, 64)`. Base 0 takes the base from a prefix (`0x`, `0o`, `0b`, `0`) and allows `_`.
 *
 * @throws {Error} `strconv.ParseInt: parsing "x": invalid syntax` or `...: value out of range`.
 */
export function parseInt64(text: string, base: 0 | 10 | 16): bigint {
  const negative = text.startsWith("-");
  const digits = negative || text.startsWith("+") ? text.slice(1) : text;
  const magnitude = parseDigits(digits, base);
  if (magnitude === undefined) throw syntaxError("ParseInt", text);
  const value = negative ? -magnitude : magnitude;
  if (value < int64.min || value > int64.max) throw rangeError("ParseInt", text);
  return value;
}

/** Go's `strconv.ParseUint(text, base, 64)`. @throws {Error} as {@link parseInt64}, named `strconv.ParseUint`. */
export function parseUint64(text: string, base: 0 | 10 | 16): bigint {
  const value = parseDigits(text, base);
  if (value === undefined) throw syntaxError("ParseUint", text);
  if (value > uint64.max) throw rangeError("ParseUint", text);
  return value;
}

/** Go's `strconv.ParseBool`. @throws {Error} `strconv.ParseBool: parsing "x": invalid syntax`. */
export function parseBool(text: string): boolean {
  if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
  if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
  throw syntaxError("ParseBool", text);
}

function parseDigits(text: string, base: 0 | 10 | 16): bigint | undefined {
  if (base === 10) return /^[0-9]+$/.test(text) ? BigInt(text) : undefined;
  if (base === 16) return /^[0-9a-fA-F]+$/.test(text) ? BigInt(`0x${text}`) : undefined;
  if (!/^(0[xX](_?[0-9a-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])+|0|[1-9](_?[0-9])*)$/.test(text)) return undefined;
  const plain = text.replaceAll("_", "");
  return BigInt(/^0[0-7]/.test(plain) ? `0o${plain.slice(1)}` : plain);
}

function syntaxError(name: string, text: string): Error {
  return new Error(`strconv.${name}: parsing ${JSON.stringify(text)}: invalid syntax`);
}

function rangeError(name: string, text: string): Error {
  return new Error(`strconv.${name}: parsing ${JSON.stringify(text)}: value out of range`);
}

/** An int64's bits as the unsigned number Go's `%x` prints for a uint64, 16 digits with zeros in front (`%016x`). */
export function hex16(id: bigint): string {
  return hex(id).padStart(16, "0");
}

/** `%x` of an unsigned 64-bit id. Go prints a negative int64 with a minus sign. */
export function hex(id: bigint): string {
  return id.toString(16);
}
