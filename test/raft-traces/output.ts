/** The output of one trace: what the bench prints, and the core's log, above a level. */
import type { RaftLogger } from "../../src/raft/logger.ts";

const levels = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"] as const;
type Level = (typeof levels)[number];

export class Output implements RaftLogger {
  #text = "";
  #level: Level = "DEBUG";

  get level(): Level {
    return this.#level;
  }

  /** @throws {Error} with the text that the trace shows. */
  setLevel(name: string): void {
    const level = levels.find((candidate) => candidate === name.toUpperCase());
    if (level === undefined) throw new Error(`log levels must be either of [${levels.join(" ")}]`);
    this.#level = level;
  }

  /** At level NONE nothing is printed, not even by the bench. */
  write(text: string): void {
    if (this.#level !== "NONE") this.#text += text;
  }

  debug(message: string): void {
    this.#log("DEBUG", message);
  }

  info(message: string): void {
    this.#log("INFO", message);
  }

  warn(message: string): void {
    this.#log("WARN", message);
  }

  error(message: string): void {
    this.#log("ERROR", message);
  }

  /** What `body` prints is indented by two blanks; the last line ends with a newline. */
  indented(body: () => void): void {
    const before = this.#text;
    this.#text = "";
    try {
      body();
    } finally {
      const inner = this.#text.replace(/\n$/, "");
      this.#text = before;
      if (inner !== "") this.#text += `${inner.replaceAll(/^/gm, "  ")}\n`;
    }
  }

  /** What was printed since the last call. */
  take(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  #log(level: Level, message: string): void {
    if (levels.indexOf(this.#level) <= levels.indexOf(level)) this.#text += `${level} ${message}\n`;
  }
}
