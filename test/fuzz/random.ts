/** Chance and mutations of fuzzers: the same for the same seed, everywhere. */

/** @returns a whole number in [0, below). */
export type Random = (below: number) => number;

/** Mulberry32: small, and the same everywhere. */
export function generator(seed: number): Random {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * below);
  };
}

export function randomBytes(random: Random, most: number): Uint8Array {
  return Uint8Array.from({ length: random(most + 1) }, () => random(256));
}

/** Bytes that formats stumble over: ends of ranges, long varints, structure of JSON and YAML. */
const troublesome: readonly (readonly number[])[] = [
  [0],
  [0xff],
  [0x7f],
  [0x80],
  [0xff, 0xff, 0xff, 0xff],
  [0xff, 0xff, 0xff, 0x7f],
  [0, 0, 0, 0, 0, 0, 0, 0],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
  [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
  [...Buffer.from("{")],
  [...Buffer.from('"')],
  [...Buffer.from("[[[[[[[[")],
  [...Buffer.from("\\ud800")],
  [...Buffer.from("1e999999999")],
  [...Buffer.from(": ")],
  [...Buffer.from("&a [*a,*a]")],
  [...Buffer.from("--")],
  [...Buffer.from("\n")],
];

/** An input made of one of the corpus, sometimes of two, changed in a few places; now and then of nothing but chance. */
export function mutated(random: Random, corpus: readonly Uint8Array[], bytesMax: number): Uint8Array {
  if (corpus.length === 0 || random(50) === 0) return randomBytes(random, Math.min(bytesMax, 400));
  let bytes: Uint8Array = new Uint8Array(corpus[random(corpus.length)]);
  if (random(8) === 0) {
    const other = corpus[random(corpus.length)];
    const at = random(bytes.length + 1);
    bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(random(other.length + 1))]);
  }
  for (let changes = 1 + random(random(4) === 0 ? 20 : 4); changes > 0; changes--) bytes = changed(random, bytes);
  return bytes.subarray(0, bytesMax);
}

function changed(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random(bytes.length + 1);
  const end = Math.min(bytes.length, at + 1 + random(16));
  const before = bytes.subarray(0, at);
  switch (random(8)) {
    case 0:
      return Buffer.concat([before, bytes.subarray(end)]);
    case 1:
      return Buffer.concat([before, bytes.subarray(at, end), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([before, Uint8Array.from(troublesome[random(troublesome.length)]), bytes.subarray(at)]);
    case 3:
      return Buffer.concat([before, randomBytes(random, 8), bytes.subarray(end)]);
    case 4:
      return random(6) === 0 ? before : bytes;
    default: {
      if (at === bytes.length) return bytes;
      const copy = new Uint8Array(bytes);
      const way = random(4);
      if (way < 2) copy[at] ^= 1 << random(8);
      else if (way === 2) copy[at] = random(256);
      else copy.set(troublesome[random(8)].slice(0, copy.length - at), at);
      return copy;
    }
  }
}

/** The smallest input found that still fails: parts are left out, then bytes made zero, while it does. */
export async function minimised(
  input: Uint8Array,
  fails: (input: Uint8Array) => Promise<boolean>,
): Promise<Uint8Array> {
  let smallest = input;
  for (let size = smallest.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at + size <= smallest.length;) {
      const shorter = Buffer.concat([smallest.subarray(0, at), smallest.subarray(at + size)]);
      if (await fails(shorter)) smallest = shorter;
      else at += size;
    }
  }
  for (let at = 0; at < smallest.length && smallest.length <= 512; at++) {
    const simpler = new Uint8Array(smallest);
    simpler[at] = 0;
    if (smallest[at] !== 0 && (await fails(simpler))) smallest = simpler;
  }
  return smallest;
}
