/**
 * Cuts a body into its JSON values (RFC 8259), one byte at a time, so that a body may arrive in any pieces and costs the
 * same. Error texts are those of Go's encoding/json, which clients of etcd's gateway see.
 */

/** Go's limit of arrays and objects inside one another. */
const depthMax = 10_000;

/** The body is not JSON. */
export class JsonSyntaxError extends Error {
  override readonly name = "JsonSyntaxError";
}

const State = {
  value: 0,
  valueOrEnd: 1,
  key: 2,
  keyOrEnd: 3,
  afterKey: 4,
  afterValue: 5,
  string: 6,
  escape: 7,
  hex: 8,
  minus: 9,
  zero: 10,
  digits: 11,
  point: 12,
  fraction: 13,
  exponent: 14,
  exponentSign: 15,
  exponentDigits: 16,
  literal: 17,
} as const;
type State = (typeof State)[keyof typeof State];

const literals: Readonly<Record<number, string>> = { 0x74: "true", 0x66: "false", 0x6e: "null" };

export class JsonSplitter {
  readonly #onValue: (value: Uint8Array) => void;
  readonly #onTooLarge: (size: number) => void;
  readonly #valueBytesMax: number;
  #state: State = State.value;
  /** Of each open container: whether it is an object. */
  readonly #containers: boolean[] = [];
  /** The string being read is a key. */
  #isKey = false;
  #hexLeft = 0;
  #literal = "";
  #literalAt = 0;
  /** Earlier pieces of the value being read, and their bytes. */
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #isInValue = false;
  #isStopped = false;

  constructor(options: {
    /** Largest value collected, bytes. */
    readonly valueBytesMax: number;
    /** The bytes belong to the receiver. */
    onValue(value: Uint8Array): void;
    /** The value is larger than that; nothing more is reported. */
    onTooLarge(size: number): void;
  }) {
    this.#onValue = (value) => options.onValue(value);
    this.#onTooLarge = (size) => options.onTooLarge(size);
    this.#valueBytesMax = options.valueBytesMax;
  }

  /** Nothing more is wanted: what comes is not looked at. */
  stop(): void {
    this.#isStopped = true;
    this.#parts = [];
    this.#partBytes = 0;
  }

  /** Of a value that is not complete. */
  get heldBytes(): number {
    return this.#partBytes;
  }

  /**
   * @param chunk - kept until the value it belongs to is complete.
   * @throws {JsonSyntaxError} when what came is not JSON; the splitter is done then.
   */
  push(chunk: Uint8Array): void {
    let start = 0;
    for (let index = 0; index < chunk.length && !this.#isStopped; index++) {
      const byte = chunk[index];
      if (!this.#isInValue) {
        if (isSpace(byte)) continue;
        this.#isInValue = true;
        start = index;
      }
      const end = this.#step(byte);
      if (end === undefined) continue;
      // A number ends before the byte that is no part of it; everything else ends with its last byte.
      const last = end === "before" ? index : index + 1;
      this.#finish(chunk.subarray(start, last));
      if (end === "before") index--;
    }
    if (this.#isStopped || !this.#isInValue) return;
    this.#parts.push(chunk.subarray(start));
    this.#partBytes += chunk.length - start;
    if (this.#partBytes <= this.#valueBytesMax) return;
    const size = this.#partBytes;
    this.stop();
    this.#onTooLarge(size);
  }

  /** The body is over. @throws {JsonSyntaxError} when it ended inside a value. */
  end(): void {
    if (this.#isStopped || !this.#isInValue) return;
    const isNumber =
      this.#state === State.zero ||
      this.#state === State.digits ||
      this.#state === State.fraction ||
      this.#state === State.exponentDigits;
    if (!isNumber || this.#containers.length > 0) throw new JsonSyntaxError("unexpected EOF");
    this.#finish(new Uint8Array(0));
  }

  #finish(tail: Uint8Array): void {
    const value = this.#parts.length === 0 ? tail : Buffer.concat([...this.#parts, tail]);
    this.#parts = [];
    this.#partBytes = 0;
    this.#isInValue = false;
    this.#state = State.value;
    if (value.length > this.#valueBytesMax) {
      this.stop();
      this.#onTooLarge(value.length);
    } else {
      this.#onValue(value);
    }
  }

  /** Takes one byte. @returns how the value ended, when it did. */
  #step(byte: number): "with" | "before" | undefined {
    switch (this.#state) {
      case State.value:
      case State.valueOrEnd:
        if (isSpace(byte)) return undefined;
        if (byte === 0x5d && this.#state === State.valueOrEnd) return this.#close();
        return this.#begin(byte);
      case State.key:
      case State.keyOrEnd:
        if (isSpace(byte)) return undefined;
        if (byte === 0x7d && this.#state === State.keyOrEnd) return this.#close();
        if (byte !== 0x22) throw unexpected(byte, "looking for beginning of object key string");
        this.#isKey = true;
        this.#state = State.string;
        return undefined;
      case State.afterKey:
        if (isSpace(byte)) return undefined;
        if (byte !== 0x3a) throw unexpected(byte, "after object key");
        this.#state = State.value;
        return undefined;
      case State.afterValue:
        return this.#afterValue(byte);
      case State.string:
      case State.escape:
      case State.hex:
        return this.#inString(byte);
      case State.literal:
        if (byte !== this.#literal.charCodeAt(this.#literalAt)) {
          throw unexpected(byte, `in literal ${this.#literal} (expecting '${this.#literal[this.#literalAt]}')`);
        }
        return ++this.#literalAt === this.#literal.length ? this.#valueEnded() : undefined;
      default:
        return this.#inNumber(byte);
    }
  }

  #begin(byte: number): undefined {
    if (byte === 0x7b || byte === 0x5b) {
      if (this.#containers.length === depthMax) throw new JsonSyntaxError("exceeded max depth");
      this.#containers.push(byte === 0x7b);
      this.#state = byte === 0x7b ? State.keyOrEnd : State.valueOrEnd;
    } else if (byte === 0x22) {
      this.#isKey = false;
      this.#state = State.string;
    } else if (byte === 0x2d) {
      this.#state = State.minus;
    } else if (byte === 0x30) {
      this.#state = State.zero;
    } else if (isDigit(byte)) {
      this.#state = State.digits;
    } else if (literals[byte] !== undefined) {
      this.#literal = literals[byte];
      this.#literalAt = 1;
      this.#state = State.literal;
    } else {
      throw unexpected(byte, "looking for beginning of value");
    }
    return undefined;
  }

  #inString(byte: number): "with" | undefined {
    if (this.#state === State.escape) {
      if (byte === 0x75) {
        this.#hexLeft = 4;
        this.#state = State.hex;
      } else if ('"\\/bfnrt'.includes(String.fromCharCode(byte))) {
        this.#state = State.string;
      } else {
        throw unexpected(byte, "in string escape code");
      }
    } else if (this.#state === State.hex) {
      if (!isHex(byte)) throw unexpected(byte, String.raw`in \u hexadecimal character escape`);
      if (--this.#hexLeft === 0) this.#state = State.string;
    } else if (byte === 0x22) {
      if (!this.#isKey) return this.#valueEnded();
      this.#state = State.afterKey;
    } else if (byte === 0x5c) {
      this.#state = State.escape;
    } else if (byte < 0x20) {
      throw unexpected(byte, "in string literal");
    }
    return undefined;
  }

  #inNumber(byte: number): "before" | "with" | undefined {
    const state = this.#state;
    const isE = byte === 0x65 || byte === 0x45;
    if (state === State.minus) {
      if (!isDigit(byte)) throw unexpected(byte, "in numeric literal");
      this.#state = byte === 0x30 ? State.zero : State.digits;
    } else if (state === State.point) {
      if (!isDigit(byte)) throw unexpected(byte, "after decimal point in numeric literal");
      this.#state = State.fraction;
    } else if (state === State.exponent && (byte === 0x2b || byte === 0x2d)) {
      this.#state = State.exponentSign;
    } else if (state === State.exponent || state === State.exponentSign) {
      if (!isDigit(byte)) throw unexpected(byte, "in exponent of numeric literal");
      this.#state = State.exponentDigits;
    } else if (isDigit(byte) && state !== State.zero) {
      return undefined;
    } else if (byte === 0x2e && (state === State.zero || state === State.digits)) {
      this.#state = State.point;
    } else if (isE && state !== State.exponentDigits) {
      this.#state = State.exponent;
    } else {
      if (this.#containers.length === 0) return "before";
      this.#state = State.afterValue;
      return this.#afterValue(byte);
    }
    return undefined;
  }

  #afterValue(byte: number): "with" | undefined {
    if (isSpace(byte)) return undefined;
    const isObject = this.#containers[this.#containers.length - 1];
    if (byte === 0x2c) {
      this.#state = isObject ? State.key : State.value;
      return undefined;
    }
    if (byte === (isObject ? 0x7d : 0x5d)) return this.#close();
    throw unexpected(byte, isObject ? "after object key:value pair" : "after array element");
  }

  #close(): "with" | undefined {
    this.#containers.pop();
    return this.#valueEnded();
  }

  #valueEnded(): "with" | undefined {
    if (this.#containers.length === 0) return "with";
    this.#state = State.afterValue;
    return undefined;
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isHex(byte: number): boolean {
  return isDigit(byte) || (byte >= 0x41 && byte <= 0x46) || (byte >= 0x61 && byte <= 0x66);
}

function unexpected(byte: number, where: string): JsonSyntaxError {
  return new JsonSyntaxError(`invalid character ${quoted(byte)} ${where}`);
}

/** As Go quotes it: each byte is taken for a character. */
function quoted(byte: number): string {
  if (byte === 0x27) return String.raw`'\''`;
  if (byte === 0x22) return `'"'`;
  const text = JSON.stringify(String.fromCharCode(byte)).slice(1, -1);
  const short = text.startsWith(String.raw`\u00`) || byte === 0x7f || (byte >= 0x80 && byte < 0xa1) || byte === 0xad;
  return short ? `'\\x${byte.toString(16).padStart(2, "0")}'` : `'${text}'`;
}
