/** As much of a v2 discovery service as members need: keys in directories with the store's index, and waiting for a change. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { dirname } from "node:path";

interface Key {
  readonly key: string;
  readonly value: string;
  readonly createdIndex: number;
  readonly modifiedIndex: number;
}

export class V2Service {
  readonly #server: Server;
  readonly #keys = new Map<string, Key>();
  readonly #changes: Key[] = [];
  /** Looked at when something changes. */
  readonly #waiting = new Set<() => void>();
  #index = 10;
  /** Of requests, as they came. */
  readonly targets: string[] = [];
  /** Answers instead of the keys, while it is set and returns true. */
  interrupt: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;

  private constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response));
  }

  static async start(): Promise<V2Service> {
    const service = new V2Service();
    await new Promise<void>((resolve) => service.#server.listen(0, "127.0.0.1", resolve));
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  set(key: string, value: string): Key {
    const index = ++this.#index;
    const entry = { key, value, createdIndex: index, modifiedIndex: index };
    this.#keys.set(key, entry);
    this.#changes.push(entry);
    for (const look of this.#waiting) look();
    return entry;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.targets.push(`${request.method} ${request.url}`);
    if (this.interrupt?.(request, response) === true) return;
    let body = "";
    for await (const part of request) body += String(part);
    const url = new URL(request.url ?? "", "http://service");
    const key = url.pathname;
    if (request.method === "PUT") this.#create(response, key, new URLSearchParams(body).get("value") ?? "");
    else if (url.searchParams.get("wait") === "true") this.#wait(response, key, url.searchParams);
    else this.#get(response, key);
  }

  #create(response: ServerResponse, key: string, value: string): void {
    if (this.#keys.has(key)) this.#send(response, 412, this.#error(105, "Key already exists", key));
    else this.#send(response, 201, { action: "create", node: this.set(key, value) });
  }

  #get(response: ServerResponse, key: string): void {
    const found = this.#keys.get(key);
    const nodes: object[] = [...this.#keys.values()].filter((each) => dirname(each.key) === key);
    if (found !== undefined) this.#send(response, 200, { action: "get", node: found });
    else if (nodes.length === 0 && !this.#keys.has(`${key}/_config/size`))
      this.#send(response, 404, this.#error(100, "Key not found", key));
    else {
      nodes.push({ key: `${key}/_config`, dir: true, createdIndex: 3, modifiedIndex: 3 });
      this.#send(response, 200, { action: "get", node: { key, dir: true, nodes, createdIndex: 3, modifiedIndex: 3 } });
    }
  }

  #wait(response: ServerResponse, key: string, parameters: URLSearchParams): void {
    const from = Number(parameters.get("waitIndex")) || this.#index + 1;
    const isRecursive = parameters.get("recursive") === "true";
    const look = (): void => {
      const change = this.#changes.find(
        (each) => each.modifiedIndex >= from && (each.key === key || (isRecursive && each.key.startsWith(`${key}/`))),
      );
      if (change === undefined) return;
      this.#waiting.delete(look);
      this.#send(response, 200, { action: "create", node: change });
    };
    this.#waiting.add(look);
    response.once("close", () => this.#waiting.delete(look));
    look();
  }

  #error(errorCode: number, message: string, cause: string): object {
    return { errorCode, message, cause, index: this.#index };
  }

  #send(response: ServerResponse, status: number, answer: object): void {
    response.writeHead(status, { "Content-Type": "application/json", "X-Etcd-Index": String(this.#index) });
    response.end(`${JSON.stringify(answer)}\n`);
  }
}
