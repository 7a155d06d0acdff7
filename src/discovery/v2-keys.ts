/**
 * The keys API of etcd 2, as far as discovery needs it, over HTTP/1.1:
 *
 *     GET /<key>?quorum=false&recursive=false&sorted=false      {"action":"get","node":{"key":..,"nodes":[..]}}
 *     PUT /<key>?prevExist=false     value=<text>               201, or 412 {"errorCode":105,...}
 *     GET /<key>?recursive=true&wait=true&waitIndex=<n>         answered with the first change from n on
 *
 * The index of the whole store is in `X-Etcd-Index`. Source: etcd server/internal/clientv2/{client,keys}.go.
 */
import { asObject, asString } from "../membership/json.ts";
import { HttpDialer } from "../peer/http1/client.ts";
import { fetchWhole, type HttpResponse } from "../peer/http1/fetch.ts";
import { NetworkError } from "../platform/network.ts";
import type { Platform } from "../platform/platform.ts";

const REQUEST_TIMEOUT_MS = 5_000;
const DIAL_TIMEOUT_MS = 30_000;
const BODY_BYTES_MAX = 16 << 20;
const REDIRECTS_MAX = 10;

export interface Node {
  readonly key: string;
  readonly value: string;
  /** Of a directory. */
  readonly nodes: readonly Node[];
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

export interface KeysAnswer {
  readonly action: string;
  readonly node: Node;
  /** Of the store when it answered; 0 when it does not say. */
  readonly index: number;
}

/** The service refuses: `100: Key not found (/k) [7]`. */
export class KeysError extends Error {
  override readonly name = "KeysError";
  readonly errorCode: number;

  constructor(errorCode: number, text: string) {
    super(text);
    this.errorCode = errorCode;
  }
}

/** The service cannot be reached, or has no leader: worth another attempt. */
export class UnavailableError extends Error {
  override readonly name = "UnavailableError";
}

/** What answers is no such service. */
export class NotKeysServiceError extends Error {
  override readonly name = "NotKeysServiceError";
}

export class V2Keys {
  readonly #dialer: HttpDialer;
  readonly #base: URL;
  readonly #proxy: URL | undefined;

  /**
   * @param base - scheme, host and port of the service; a query is sent along.
   * @param proxy - asked instead of the service, for http URLs.
   */
  constructor(platform: Platform, base: URL, proxy: URL | undefined) {
    this.#base = base;
    this.#proxy = proxy;
    const { network, log } = platform;
    this.#dialer = new HttpDialer({
      platform,
      dialTimeoutMs: DIAL_TIMEOUT_MS,
      dial: (url, address, timeoutMs) => {
        const serverName = url.hostname.replace(/^\[|\]$/g, "");
        const tls = { serverName, verifiesServer: true, alpn: ["http/1.1"], log };
        return network.connect(address, url.protocol === "https:" ? { timeoutMs, tls } : { timeoutMs });
      },
    });
  }

  close(): void {
    this.#dialer.close();
  }

  /** All methods reject with the errors above, and with `context deadline exceeded` after five seconds but for {@link wait}. */
  get(key: string): Promise<KeysAnswer> {
    return this.#ask(
      "GET",
      this.#url(key, { quorum: "false", recursive: "false", sorted: "false" }),
      REQUEST_TIMEOUT_MS,
    );
  }

  /** @throws {KeysError} by rejection, 105 when there is such a key. */
  create(key: string, value: string): Promise<KeysAnswer> {
    return this.#ask("PUT", this.#url(key, { prevExist: "false" }), REQUEST_TIMEOUT_MS, value);
  }

  /** The first change of a key, or of anything below it, with an index of at least `from`; 0: the next one. */
  async wait(key: string, from: number, isRecursive: boolean): Promise<KeysAnswer> {
    const url = this.#url(key, { recursive: `${isRecursive}`, wait: "true", waitIndex: `${from}` });
    for (;;) {
      const answer = await this.#fetch("GET", url, undefined);
      // A service that ends a wait without a change answers with nothing.
      if (answer.body.length > 0) return this.#read(answer);
    }
  }

  async #ask(method: "GET" | "PUT", url: URL, timeoutMs: number, value?: string): Promise<KeysAnswer> {
    return this.#read(await this.#fetch(method, url, timeoutMs, value));
  }

  #url(key: string, parameters: Record<string, string>): URL {
    const url = new URL(this.#base.href);
    url.pathname = key;
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
    url.searchParams.sort();
    return url;
  }

  async #fetch(
    method: "GET" | "PUT",
    first: URL,
    timeoutMs: number | undefined,
    value?: string,
  ): Promise<HttpResponse> {
    let url = first;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const answer = await this.#send(method, url, timeoutMs, value);
      const { status, fields, statusLine } = answer.head;
      if (status >= 500) throw new UnavailableError(`client: etcd member ${this.#base.origin} returns ${statusLine}`);
      if (status < 300 || status >= 400) return answer;
      const location = fields.get("location");
      if (location === undefined) throw new UnavailableError("location header not set");
      if (!URL.canParse(location, url.href)) throw new UnavailableError(`location header not valid URL: ${location}`);
      url = new URL(location, url.href);
    }
    throw new UnavailableError("client: too many redirects");
  }

  async #send(method: "GET" | "PUT", url: URL, timeoutMs: number | undefined, value?: string): Promise<HttpResponse> {
    const fields: [string, string][] = [];
    if (value !== undefined) fields.push(["Content-Type", "application/x-www-form-urlencoded"]);
    const proxy = url.protocol === "http:" ? this.#proxy : undefined;
    if (proxy !== undefined && proxy.username !== "") {
      const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
      fields.push(["Proxy-Authorization", `Basic ${Buffer.from(user).toString("base64")}`]);
    }
    const path = `${url.pathname}${url.search}`;
    const body = value === undefined ? undefined : Buffer.from(new URLSearchParams({ value }).toString());
    const request = {
      method,
      base: proxy ?? url,
      path: proxy === undefined ? path : url.href,
      host: url.host,
      fields,
      body,
    };
    try {
      return await fetchWhole(this.#dialer, request, { timeoutMs, bodyBytesMax: BODY_BYTES_MAX });
    } catch (error) {
      const isLate = error instanceof NetworkError && error.message === "context deadline exceeded";
      if (isLate) throw error;
      throw new UnavailableError(error instanceof Error ? error.message : String(error), { cause: error });
    }
  }

  #read({ head, body }: HttpResponse): KeysAnswer {
    const text = Buffer.from(body).toString("utf8");
    if (head.status !== 200 && head.status !== 201) throw readError(text);
    if (text === "") throw new NotKeysServiceError("client: response body is empty");
    const index = Number(head.fields.get("x-etcd-index") ?? 0);
    return reading(text, ({ action, node }) => ({ action: asString(action), node: readNode(asObject(node)), index }));
  }
}

type Fields = Readonly<Record<string, unknown>>;

function reading<T>(text: string, read: (fields: Fields) => T): T {
  try {
    return read(asObject(JSON.parse(text)));
  } catch (cause) {
    const message = "client: response is invalid json. The endpoint is probably not valid etcd cluster endpoint";
    throw new NotKeysServiceError(message, { cause });
  }
}

function readError(text: string): KeysError {
  return reading(text, ({ errorCode, message, cause, index }) => {
    const code = Number(errorCode ?? 0);
    return new KeysError(code, `${code}: ${asString(message)} (${asString(cause)}) [${Number(index ?? 0)}]`);
  });
}

function readNode(fields: Fields): Node {
  const { key, value, nodes, createdIndex, modifiedIndex } = fields;
  return {
    key: asString(key),
    value: asString(value),
    nodes: Array.isArray(nodes) ? nodes.map((node) => readNode(asObject(node))) : [],
    createdIndex: Number(createdIndex ?? 0),
    modifiedIndex: Number(modifiedIndex ?? 0),
  };
}
