/** The URL of a peer that is tried next. One that failed makes room for the next one of the peer's list. */
import { assert } from "../base/assert.ts";

export class UrlPicker {
  #urls: readonly URL[];
  #picked = 0;

  /** @param urls - at least one. */
  constructor(urls: readonly string[]) {
    this.#urls = parse(urls);
  }

  update(urls: readonly string[]): void {
    this.#urls = parse(urls);
    this.#picked = 0;
  }

  pick(): URL {
    return this.#urls[this.#picked];
  }

  /** `url` did not work; no matter who else found that out already. */
  unreachable(url: URL): void {
    if (url === this.#urls[this.#picked]) this.#picked = (this.#picked + 1) % this.#urls.length;
  }
}

function parse(urls: readonly string[]): URL[] {
  assert(urls.length > 0, "a peer has a URL");
  return urls.map(peerUrlOf);
}

/** Nobody listens at port 0, and no name ends in `.invalid`. */
const nowhere = "http://nowhere.invalid:0";

/**
 * A member's URL is part of the log when it gets here, so it must not throw: etcd takes URLs that Node's parser refuses,
 * such as port 99999, and finds that nobody answers there.
 */
export function peerUrlOf(text: string): URL {
  return URL.canParse(text) ? new URL(text) : new URL(nowhere);
}
