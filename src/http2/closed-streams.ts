/**
 * The streams that closed lately. A frame for a closed stream is an error of the peer, unless we reset the stream: then
 * what was in flight is expected and ignored.
 */

/** How many are remembered; a frame for an older one is taken for an error of the peer. */
const remembered = 128;

export class ClosedStreams {
  /** A ring of identifiers, negative when we reset the stream. */
  readonly #ring = new Int32Array(remembered);
  #next = 0;

  add(id: number, resetByUs: boolean): void {
    this.#ring[this.#next] = resetByUs ? -id : id;
    this.#next = (this.#next + 1) % remembered;
  }

  wasResetByUs(id: number): boolean {
    return this.#ring.includes(-id);
  }

  /** It closed in the ordinary way. */
  wasClosed(id: number): boolean {
    return this.#ring.includes(id);
  }
}
