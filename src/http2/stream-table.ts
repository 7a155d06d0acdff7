/**
 * The open streams of a session by identifier. Identifiers are handed out in sequence and most streams are short, so a
 * direct-mapped table finds them with one comparison; the long-lived ones that are in the way of a newcomer's slot keep
 * it, and the newcomer goes to an ordinary map.
 */
import type { Http2Stream } from "./stream.ts";

const initialSlots = 64;
const maxSlots = 8192;

export class StreamTable {
  #slots: (Http2Stream | undefined)[] = Array.from<Http2Stream | undefined>({ length: initialSlots }).fill(undefined);
  #mask = initialSlots - 1;
  readonly #overflow = new Map<number, Http2Stream>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get(id: number): Http2Stream | undefined {
    const stream = this.#slots[(id >>> 1) & this.#mask];
    if (stream !== undefined && stream.id === id) return stream;
    return this.#overflow.size === 0 ? undefined : this.#overflow.get(id);
  }

  add(stream: Http2Stream): void {
    if (this.#count > this.#mask && this.#mask < maxSlots - 1) this.#grow();
    this.#count++;
    this.#place(stream);
  }

  delete(stream: Http2Stream): void {
    const slot = (stream.id >>> 1) & this.#mask;
    if (this.#slots[slot] === stream) this.#slots[slot] = undefined;
    else if (!this.#overflow.delete(stream.id)) return;
    this.#count--;
  }

  /** A snapshot, safe against changes while it is walked. */
  all(): Http2Stream[] {
    const streams = [...this.#overflow.values()];
    for (const stream of this.#slots) if (stream !== undefined) streams.push(stream);
    return streams;
  }

  #place(stream: Http2Stream): void {
    const slot = (stream.id >>> 1) & this.#mask;
    if (this.#slots[slot] === undefined) this.#slots[slot] = stream;
    else this.#overflow.set(stream.id, stream);
  }

  #grow(): void {
    const streams = this.all();
    this.#overflow.clear();
    this.#slots = Array.from<Http2Stream | undefined>({ length: this.#slots.length * 2 }).fill(undefined);
    this.#mask = this.#slots.length - 1;
    for (const stream of streams) this.#place(stream);
  }
}
