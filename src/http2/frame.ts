/**
 * HTTP/2 frames (RFC 9113 section 4 and 6), written straight into a caller's buffer.
 *
 *     +-----------------------------------------------+
 *     |                 Length (24)                   |
 *     +---------------+---------------+---------------+
 *     |   Type (8)    |   Flags (8)   |
 *     +-+-------------+---------------+-------------------------------+
 *     |R|                 Stream Identifier (31)                      |
 *     +=+=============================================================+
 *     |                   Frame Payload (0...)                      ...
 *     +---------------------------------------------------------------+
 */

export const frameHeaderSize = 9;
/** Of the stream identifier in a frame header. */
export const streamIdOffset = 5;

export const FrameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  resetStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goAway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const Flag = { none: 0x0, endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 } as const;

export const SettingId = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

/** Defaults that hold until the peer's SETTINGS say otherwise. */
export const defaultWindowSize = 65_535;
export const defaultMaxFrameSize = 16_384;
export const defaultHeaderTableSize = 4096;
/** Largest legal values. */
export const maxWindowSize = 0x7fff_ffff;
export const maxMaxFrameSize = 0xff_ffff;
export const maxStreamId = 0x7fff_ffff;

/** Writes a frame header and returns the offset behind it. `target` must have room. */
export function writeFrameHeader(
  target: Uint8Array,
  offset: number,
  length: number,
  type: number,
  flags: number,
  streamId: number,
): number {
  target[offset] = length >>> 16;
  target[offset + 1] = length >>> 8;
  target[offset + 2] = length;
  target[offset + 3] = type;
  target[offset + 4] = flags;
  target[offset + 5] = streamId >>> 24;
  target[offset + 6] = streamId >>> 16;
  target[offset + 7] = streamId >>> 8;
  target[offset + 8] = streamId;
  return offset + frameHeaderSize;
}

/** Writes a big-endian u32 and returns the offset behind it. */
export function writeUint32(target: Uint8Array, offset: number, value: number): number {
  target[offset] = value >>> 24;
  target[offset + 1] = value >>> 16;
  target[offset + 2] = value >>> 8;
  target[offset + 3] = value;
  return offset + 4;
}

/** Reads a big-endian u32. */
export function readUint32(source: Uint8Array, offset: number): number {
  return ((source[offset] << 24) | (source[offset + 1] << 16) | (source[offset + 2] << 8) | source[offset + 3]) >>> 0;
}

/** Reads the 31-bit stream identifier, window increment or dependency at `offset`; the reserved bit is ignored. */
export function readUint31(source: Uint8Array, offset: number): number {
  return readUint32(source, offset) & 0x7fff_ffff;
}

/** One setting: identifier and value. */
export type Setting = readonly [id: number, value: number];

/** A SETTINGS frame, owned. */
export function settingsFrame(settings: readonly Setting[]): Uint8Array {
  const frame = new Uint8Array(frameHeaderSize + settings.length * 6);
  let offset = writeFrameHeader(frame, 0, settings.length * 6, FrameType.settings, Flag.none, 0);
  for (const [id, value] of settings) {
    frame[offset] = id >>> 8;
    frame[offset + 1] = id;
    offset = writeUint32(frame, offset + 2, value);
  }
  return frame;
}

/** A GOAWAY frame, owned; `debug` is cut to 1 KiB. */
export function goAwayFrame(lastStreamId: number, code: number, debug: string): Uint8Array {
  const text = Buffer.from(debug, "utf8").subarray(0, 1024);
  const frame = new Uint8Array(frameHeaderSize + 8 + text.length);
  let offset = writeFrameHeader(frame, 0, 8 + text.length, FrameType.goAway, Flag.none, 0);
  offset = writeUint32(frame, offset, lastStreamId);
  offset = writeUint32(frame, offset, code);
  frame.set(text, offset);
  return frame;
}
