/** The JSON gateway over HTTP: everything below `/v3/`. */
import type { Address } from "../../platform/network.ts";
import type { Page, PageRequest, PageResponse } from "../page.ts";
import { Exchange, type GatewayContext, type GatewayOutput } from "./exchange.ts";

/** Bytes that may wait for a client before it is said to be slow. */
const waitingBytesMax = 64 * 1024;

export function gatewayPage(context: GatewayContext): Page {
  return (request, response, url) => {
    const output = new HttpOutput(response);
    const exchange = new Exchange(
      context,
      {
        method: request.method ?? "",
        path: url.pathname,
        headers: request.headers,
        remote: remoteOf(request),
      },
      output,
    );
    request.on("data", (chunk: Buffer) => exchange.push(chunk));
    request.on("end", () => exchange.finish());
    response.on("drain", () => exchange.drained());
    response.on("close", () => exchange.gone());
  };
}

export function remoteOf({ socket }: Pick<PageRequest, "socket">): Address {
  return { host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
}

class HttpOutput implements GatewayOutput {
  readonly #response: PageResponse;

  constructor(response: PageResponse) {
    this.#response = response;
  }

  whole(status: number, headers: Readonly<Record<string, string>>, text: string): void {
    this.#response.writeHead(status, { ...headers, "Content-Length": Buffer.byteLength(text) });
    this.#response.end(text);
  }

  open(status: number, headers: Readonly<Record<string, string>>): void {
    this.#response.writeHead(status, headers);
  }

  write(text: string): boolean {
    const hasRoom = this.#response.write(text);
    return hasRoom || this.#response.writableLength < waitingBytesMax;
  }

  close(): void {
    this.#response.end();
  }

  holds(bytes: number): void {
    this.#response.holds?.(bytes);
  }

  get bufferedBytes(): number {
    return this.#response.writableLength;
  }
}
