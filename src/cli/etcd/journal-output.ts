/**
 * `--log-outputs=systemd/journal`: lines for systemd's journal, over the stream socket that `systemd-cat` uses (Node has no
 * datagram Unix sockets). The stream begins with its settings, a line each; every line then bears its priority:
 *
 *     identifier | unit | priority | level prefix (1) | to syslog (0) | to kmsg (0) | to console (0)
 *     <6>{"level":"info",...}
 *
 * What the journal does not take goes to standard error, as etcd does it.
 */
import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import type { LogLevel } from "../../platform/logger.ts";

const systemSocket = "/run/systemd/journal/stdout";
/** syslog's numbers. */
const priorities: Readonly<Record<LogLevel, number>> = { debug: 7, info: 6, warn: 4, error: 3, panic: 2, fatal: 2 };
const head = `etcd\n\n${priorities.info}\n1\n0\n0\n0\n`;
/** More than that is not held for a journal that does not read. */
const bufferedBytesMax = 1 << 20;

export class JournalOutput {
  readonly #socket: Socket;
  readonly #fallback: (line: string) => void;
  #isOpen = false;

  /** @throws {Error} with etcd's text when there is no journal. */
  constructor(fallback: (line: string) => void, path: string = systemSocket) {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) {
      // etcd's words, and its socket, which lies beside ours.
      const socket = join(dirname(path), "socket");
      throw new Error(`can't find journal (dial unixgram ${socket}: connect: no such file or directory)`);
    }
    this.#fallback = fallback;
    this.#socket = connect(path);
    // The log alone does not keep the process alive.
    this.#socket.unref();
    this.#socket.on("connect", () => {
      this.#socket.write(head);
      this.#isOpen = true;
    });
    this.#socket.on("close", () => (this.#isOpen = false));
    this.#socket.on("error", (error) => this.#fallback(`etcd: the journal is lost: ${error.message}\n`));
  }

  write(level: LogLevel, line: string): void {
    // A write to a socket with room goes to the system at once, so that what is said before an exit arrives.
    if (this.#isOpen && this.#socket.writableLength < bufferedBytesMax) {
      this.#socket.write(`<${priorities[level]}>${line}`);
    } else this.#fallback(line);
  }
}
