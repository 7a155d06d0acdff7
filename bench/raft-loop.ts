/**
 * Cost of the raft core alone: the member's hot path with one voter and async storage writes, without disk or network:
 * propose → StorageAppend → response → StorageApply → response.
 *
 *     npx esbuild bench/raft-loop.ts --bundle --platform=node --format=esm | node --input-type=module -
 *
 * Prints microseconds per proposal of 300 bytes; the median of several rounds for each number of proposals per Ready.
 */
import { MemoryStorage } from "../src/raft/memory-storage.ts";
import { RawNode } from "../src/raft/raw-node.ts";
import { LOCAL_APPEND_THREAD } from "../src/wire/raft/types.ts";
import type { Message } from "../src/wire/raft/types.ts";

const PROPOSALS = 200_000;
const ROUNDS = 7;
/** Entries kept in memory, as a member keeps some for slow followers. */
const KEPT = 5_000;

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

class Loop {
  readonly node: RawNode;
  readonly #storage = new MemoryStorage();
  #compacted = 5;

  constructor() {
    const confState = { voters: [1n], learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
    this.#storage.applySnapshot({ data: new Uint8Array(), metadata: { confState, index: this.#compacted, term: 1 } });
    this.node = new RawNode({
      id: 1n,
      electionTicks: 10,
      heartbeatTicks: 1,
      storage: this.#storage,
      random: () => 0,
      logger: silent,
      appliedIndex: this.#compacted,
      asyncStorageWrites: true,
      messageBytesMax: 1 << 20,
      inflightCountMax: 512,
    });
    this.node.campaign();
    this.drain();
  }

  /** Does all storage work, at once. */
  drain(): void {
    while (this.node.hasReady()) for (const message of this.node.ready().messages) this.#perform(message);
    if (this.#storage.lastIndex() - this.#compacted <= 2 * KEPT) return;
    this.#compacted = this.#storage.lastIndex() - KEPT;
    this.#storage.compact(this.#compacted);
  }

  #perform(message: Message): void {
    if (message.to === LOCAL_APPEND_THREAD) this.#storage.append(message.entries);
    for (const response of message.responses) this.node.step(response);
  }
}

function measure(name: string, perReady: number, propose: (node: RawNode) => void): void {
  const loop = new Loop();
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.hrtime.bigint();
    for (let done = 0; done < PROPOSALS; done += perReady) {
      propose(loop.node);
      loop.drain();
    }
    rounds.push(Number(process.hrtime.bigint() - start) / 1000 / PROPOSALS);
  }
  rounds.sort((a, b) => a - b);
  const [fastest, median, slowest] = [rounds[0], rounds[ROUNDS >> 1], rounds[ROUNDS - 1]];
  console.log(`${name.padEnd(32)} ${median.toFixed(3)} µs (${fastest.toFixed(3)} to ${slowest.toFixed(3)})`);
}

const data = new Uint8Array(300);
for (const perReady of [1, 10, 100, 500]) {
  measure(`propose, ${perReady} per Ready`, perReady, (node) => {
    for (let i = 0; i < perReady; i++) node.propose(data);
  });
}
for (const perReady of [100, 500]) {
  const batch = Array.from({ length: perReady }, () => data);
  measure(`proposeBatch, ${perReady} per Ready`, perReady, (node) => node.proposeBatch(batch));
}
