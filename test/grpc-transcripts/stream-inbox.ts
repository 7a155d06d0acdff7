/** What came on one stream, kept until the transcript asks for it. */
import type { ClientStream } from "../../src/grpc/client.ts";
import { GrpcError } from "../../src/grpc/status.ts";
import type { Status } from "./transcript.ts";
import { withPatience } from "./patience.ts";

export class StreamInbox {
  readonly stream: ClientStream;
  readonly path: string;
  readonly #messages: Uint8Array[] = [];
  readonly #finished: Promise<Status>;
  #status: Status | undefined;
  #arrived: (() => void) | undefined;

  constructor(stream: ClientStream, path: string) {
    this.stream = stream;
    this.path = path;
    this.#finished = this.#read();
  }

  get isOver(): boolean {
    return this.#status !== undefined;
  }

  get unread(): number {
    return this.#messages.length;
  }

  /** Takes `count` messages, waiting for them. @throws when the stream ends before. */
  async take(count: number): Promise<Uint8Array[]> {
    while (this.#messages.length < count) {
      if (this.#status !== undefined) {
        const { code, message } = this.#status;
        throw new Error(`the stream ended with ${code} ${message}; ${this.#messages.length} of ${count} messages came`);
      }
      const next = new Promise<void>((resolve) => (this.#arrived = resolve));
      await withPatience(next, () => `${this.#messages.length} of ${count} messages came`);
    }
    return this.#messages.splice(0, count);
  }

  /** Everything until the end. */
  async takeAll(): Promise<{ messages: Uint8Array[]; status: Status }> {
    const status = await withPatience(this.#finished, () => "the stream does not end");
    return { messages: this.#messages.splice(0), status };
  }

  /** The status, once the stream is over; what is unread stays. */
  ended(): Promise<Status> {
    return withPatience(this.#finished, () => "the stream does not end");
  }

  async #read(): Promise<Status> {
    this.#status = await this.#readToEnd();
    this.#arrived?.();
    return this.#status;
  }

  async #readToEnd(): Promise<Status> {
    try {
      for await (const message of this.stream) {
        this.#messages.push(message);
        this.#arrived?.();
      }
      return { code: 0, message: "" };
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      return { code: error.code, message: error.message };
    }
  }
}
