/**
 * Passwords: hashed and checked with bcrypt in a thread of their own, because one hash takes tens of milliseconds on purpose.
 * The thread starts with the first password and does not keep the process alive. Its program stands in a string: it must
 * run from sources, from the build and from a bundle alike.
 */
import { timingSafeEqual } from "node:crypto";
import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import { encodeBase64, hashSync } from "bcryptjs";
import type { Logger } from "../../platform/logger.ts";
import type { Random } from "../../platform/random.ts";
import { EtcdError } from "../../wire/errors.ts";

const costMin = 4;
const costMax = 31;
const costDefault = 10;
const saltBytes = 16;
/** What bcrypt looks at; Go's refuses longer ones. */
const passwordBytesMax = 72;
/** Passwords that wait for the thread; a second's work is some twenty. */
const waitingMax = 1_000;

/** `$2a$`, cost, salt of 22 and hash of 31 characters. */
const hashForm = /^\$2[aby]?\$\d\d\$[./0-9A-Za-z]{53}$/;
const saltLength = 29;

const program = `
const { parentPort, workerData } = require("node:worker_threads");
const { hashSync } = require(workerData);
parentPort.on("message", ({ id, password, salt }) => parentPort.postMessage({ id, hash: hashSync(password, salt) }));
`;

interface Waiting {
  readonly resolve: (hash: string) => void;
  readonly reject: (error: Error) => void;
}

export class Passwords {
  readonly #random: Random;
  readonly #cost: number;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #nextId = 0;

  /** @param cost - `--bcrypt-cost`; outside of 4 to 31 the default is taken, with a warning. */
  constructor(cost: number, random: Random, log: Logger) {
    this.#random = random;
    const isValid = cost >= costMin && cost <= costMax;
    this.#cost = isValid ? cost : costDefault;
    if (isValid) return;
    log.withCaller("server/auth/passwords.ts").warn("use default bcrypt cost instead of the invalid given cost", {
      "min-cost": costMin,
      "max-cost": costMax,
      "default-cost": costDefault,
      "given-cost": cost,
    });
  }

  /** @throws {EtcdError} by rejection: `passwordTooLong`, `tooManyRequests`, `stopped`. */
  async hash(password: string): Promise<string> {
    if (Buffer.byteLength(password) > passwordBytesMax) throw new EtcdError("passwordTooLong");
    return this.#run(password, this.#salt());
  }

  /** The same on this thread, for entries of old members, which hold the password itself. */
  hashNow(password: string): string {
    return hashSync(password, this.#salt());
  }

  /** @param hash - as stored; undefined takes the same time and is never right, so that nobody learns which users exist. */
  async matches(password: string, hash: string | undefined): Promise<boolean> {
    const isHash = hash !== undefined && hashForm.test(hash);
    const salt = isHash ? hash.slice(0, saltLength) : this.#salt();
    const actual = await this.#run(password, salt);
    // The version letter is part of the salt, so both have the same one.
    return isHash && hash.length === actual.length && timingSafeEqual(Buffer.from(hash), Buffer.from(actual));
  }

  async close(): Promise<void> {
    this.#failAll(new EtcdError("stopped"));
    await this.#worker?.terminate();
  }

  #salt(): string {
    const cost = String(this.#cost).padStart(2, "0");
    return `$2a$${cost}$${encodeBase64([...this.#random.bytes(saltBytes)], saltBytes)}`;
  }

  #run(password: string, salt: string): Promise<string> {
    if (this.#waiting.size >= waitingMax) return Promise.reject(new EtcdError("tooManyRequests"));
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker ??= this.#start();
      this.#worker.postMessage({ id, password, salt });
    });
  }

  #start(): Worker {
    const library = createRequire(import.meta.url).resolve("bcryptjs");
    const worker = new Worker(program, { eval: true, workerData: library });
    worker.unref();
    worker.on("message", ({ id, hash }: { id: number; hash: string }) => {
      this.#waiting.get(id)?.resolve(hash);
      this.#waiting.delete(id);
    });
    worker.on("error", (error) => {
      this.#worker = undefined;
      this.#failAll(error);
    });
    return worker;
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
