/** What the peer announced in SETTINGS (RFC 9113 section 6.5), with RFC 9113's values until it did. */
import { ConnectionError, ErrorCode } from "./error-code.ts";
import {
  SettingId,
  defaultHeaderTableSize,
  defaultMaxFrameSize,
  defaultWindowSize,
  maxMaxFrameSize,
  maxWindowSize,
  readUint32,
} from "./frame.ts";
import { sliceBytes } from "./send-scheduler.ts";

const settingSize = 6;

export class PeerSettings {
  initialWindow = defaultWindowSize;
  maxFrameSize = defaultMaxFrameSize;
  headerTableSize = defaultHeaderTableSize;
  maxConcurrentStreams = 0xffff_ffff;

  /**
   * Takes the payload of a SETTINGS frame, `bytes[start, end)`.
   *
   * @returns by how much the initial window changed: the windows of all streams move by that. Once a frame, as it
   * goes through all streams: 2730 changes in one frame would be work without measure.
   * @throws {ConnectionError} for sizes and values that RFC 9113 forbids.
   */
  take(bytes: Uint8Array, start: number, end: number): number {
    if ((end - start) % settingSize !== 0) {
      throw new ConnectionError(ErrorCode.frameSizeError, "SETTINGS of a wrong size");
    }
    const before = this.initialWindow;
    for (let offset = start; offset < end; offset += settingSize) {
      this.#apply((bytes[offset] << 8) | bytes[offset + 1], readUint32(bytes, offset + 2));
    }
    return this.initialWindow - before;
  }

  #apply(id: number, value: number): void {
    switch (id) {
      case SettingId.headerTableSize:
        this.headerTableSize = value;
        break;
      case SettingId.enablePush:
        if (value > 1) throw new ConnectionError(ErrorCode.protocolError, "bad ENABLE_PUSH");
        break;
      case SettingId.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        break;
      case SettingId.initialWindowSize:
        if (value > maxWindowSize) throw new ConnectionError(ErrorCode.flowControlError, "bad INITIAL_WINDOW_SIZE");
        this.initialWindow = value;
        break;
      case SettingId.maxFrameSize:
        if (value < defaultMaxFrameSize || value > maxMaxFrameSize) {
          throw new ConnectionError(ErrorCode.protocolError, "bad MAX_FRAME_SIZE");
        }
        // Larger frames than the output buffer holds would gain nothing.
        this.maxFrameSize = Math.min(value, sliceBytes);
        break;
      default: // MAX_HEADER_LIST_SIZE is advice, and our lists are small; unknown settings are ignored.
    }
  }
}
