/**
 * The test bench of the interaction traces: nodes with storage in memory, messages in flight, queues of storage work, all
 * driven by commands. The language is that of etcd-io/raft's traces (rafttest), with additions for traces of our own:
 *
 * - `read-index ID CONTEXT`: asks the node for a read state.
 * - `report-snapshot ID ID2 ok=B`: tells the first node whether the snapshot for the second was sent.
 * - options of `add-nodes`: `max-message-size=N`, `max-uncommitted-size=N`, `inflight-bytes=N`.
 */
import { emptyBytes } from "../../src/base/bytes.ts";
import { parseConfChanges } from "../../src/raft/confchange/notation.ts";
import type { AnyConfChange } from "../../src/raft/confchange/conf-change.ts";
import { decodeConfChangeEntry, isConfChangeEntry } from "../../src/raft/confchange/conf-change.ts";
import {
  describeEntries,
  describeMessage,
  describeMessageType,
  describeProgressMap,
  describeReady,
  describeRole,
} from "../../src/raft/describe.ts";
import { RaftError, StorageError } from "../../src/raft/errors.ts";
import {
  isEmptySnapshot,
  isLocalThread,
  LOCAL_APPEND_THREAD,
  ConfChangeTransition,
  createMessage,
  MessageType,
} from "../../src/wire/raft/types.ts";
import type { Entry, HardState, Message, Snapshot } from "../../src/wire/raft/types.ts";
import { addNodes } from "./nodes.ts";
import type { BenchNode } from "./nodes.ts";
import { Output } from "./output.ts";
import { ScriptError, toBoolean, toId, toInteger } from "./script.ts";
import type { Step } from "./script.ts";

/** An error that belongs to the output of a trace. */
class CommandError extends Error {
  override readonly name = "CommandError";
}

/** Rounds that `stabilize` may take before we say that it never ends. */
const ROUNDS_MAX = 10_000;

const messageTypes = new Map<string, MessageType>(
  Object.values(MessageType).map((type) => [describeMessageType(type), type]),
);

export class InteractionBench {
  readonly #nodes: BenchNode[] = [];
  #inFlight: Message[] = [];
  readonly #output = new Output();

  run(step: Step): string {
    let error = "";
    try {
      this.#execute(step);
    } catch (caught) {
      if (!(caught instanceof CommandError || caught instanceof RaftError || caught instanceof StorageError)) {
        throw caught;
      }
      error = caught.message;
    }
    const text = this.#output.take() + error;
    return text === "" ? "ok" : text;
  }

  #execute(step: Step): void {
    const { args } = step;
    switch (step.command) {
      case "_breakpoint":
        return;
      case "add-nodes":
        return this.#addNodes(step);
      case "campaign":
        return this.#first(step).raft.campaign();
      case "compact": {
        const node = this.#first(step);
        node.storage.compact(toInteger(args[1].key));
        return this.#printLog(node);
      }
      case "deliver-msgs":
        return this.#deliverCommand(step);
      case "process-ready":
        return this.#each(step, "handling Ready", (node) => this.#processReady(node));
      case "process-append-thread":
        return this.#each(step, "processing append thread", (node) => this.#processAppend(node));
      case "process-apply-thread":
        return this.#each(step, "processing apply thread", (node) => this.#processApply(node));
      case "log-level":
        return this.#setLevel(args[0].key);
      case "raft-log":
        return this.#printLog(this.#first(step));
      case "raft-state":
        return this.#printStates();
      case "set-randomized-election-timeout":
        return this.#first(step).raft.setRandomizedElectionTicks(toInteger(this.#option(step, "timeout")));
      case "stabilize":
        return this.#stabilizeCommand(step);
      case "status":
        return this.#output.write(describeProgressMap(this.#first(step).raft.status().progress));
      case "tick-election":
        return this.#tick(this.#first(step), this.#first(step).electionTicks);
      case "tick-heartbeat":
        return this.#tick(this.#first(step), this.#first(step).heartbeatTicks);
      case "transfer-leadership":
        return this.#node(this.#option(step, "from")).raft.transferLeader(this.#node(this.#option(step, "to")).raft.id);
      case "forget-leader":
        return this.#first(step).raft.forgetLeader();
      case "send-snapshot":
        return this.#sendSnapshot(this.#named(step));
      case "propose":
        if (args.length !== 2 || args[1].values.length > 0) throw new ScriptError("propose takes a node and a text");
        return this.#first(step).raft.propose(new TextEncoder().encode(args[1].key));
      case "propose-conf-change":
        return this.#first(step).raft.proposeConfChange(parseConfChangeCommand(step));
      case "read-index":
        return this.#first(step).raft.readIndex(new TextEncoder().encode(args[1].key));
      case "report-snapshot": {
        const [from, to] = this.#named(step);
        return from.raft.reportSnapshot(to.raft.id, toBoolean(this.#option(step, "ok")));
      }
      case "report-unreachable": {
        const nodes = this.#named(step);
        if (nodes.length !== 2) {
          throw new CommandError("must specify exactly two node indexes: node on which to report, and reported node");
        }
        return nodes[0].raft.reportUnreachable(nodes[1].raft.id);
      }
      default:
        throw new CommandError("unknown command");
    }
  }

  // -------------------------------------------------------------------------------------------------- finding nodes

  #node(id: string): BenchNode {
    const node = this.#nodes[toInteger(id) - 1];
    if (node === undefined) throw new ScriptError(`there is no node ${id}`);
    return node;
  }

  #first(step: Step): BenchNode {
    if (step.args.length === 0) throw new ScriptError(`${step.command} takes a node`);
    return this.#node(step.args[0].key);
  }

  /** The nodes given as plain ids. */
  #named(step: Step): BenchNode[] {
    return step.args.filter((arg) => arg.values.length === 0).map((arg) => this.#node(arg.key));
  }

  #option(step: Step, key: string): string {
    const value = step.args.find((arg) => arg.key === key)?.values[0];
    if (value === undefined) throw new ScriptError(`${step.command} takes ${key}=`);
    return value;
  }

  /** Does `action` on the named nodes, under headings if there are several. */
  #each(step: Step, heading: string, action: (node: BenchNode) => void): void {
    const nodes = this.#named(step);
    for (const node of nodes) {
      if (nodes.length > 1) this.#under(node, heading, () => action(node));
      else action(node);
    }
  }

  #under(node: BenchNode, heading: string, body: () => void): void {
    this.#output.write(`> ${node.raft.id} ${heading}\n`);
    this.#output.indented(body);
  }

  // ------------------------------------------------------------------------------------------------ simple commands

  #addNodes(step: Step): void {
    const added = addNodes(step, this.#nodes.length + 1, this.#output);
    if (typeof added === "string") throw new CommandError(added);
    this.#nodes.push(...added);
  }

  #setLevel(name: string): void {
    try {
      this.#output.setLevel(name);
    } catch (error) {
      throw new CommandError(error instanceof Error ? error.message : String(error));
    }
  }

  #tick(node: BenchNode, count: number): void {
    for (let i = 0; i < count; i++) node.raft.tick();
  }

  #printLog({ storage }: BenchNode): void {
    const first = storage.firstIndex();
    const last = storage.lastIndex();
    if (last < first) this.#output.write(`log is empty: first index=${first}, last index=${last}`);
    else this.#output.write(describeEntries(storage.entries(first, last + 1, Infinity) ?? []));
  }

  #printStates(): void {
    for (const { raft } of this.#nodes) {
      const { id, config, softState, hardState } = raft.status();
      const member = config.voters.has(id) ? "(Voter)" : "(Non-Voter)";
      const role = describeRole(softState.role);
      this.#output.write(`${id}: ${role} ${member} Term:${hardState.term} Lead:${softState.lead}\n`);
    }
  }

  #sendSnapshot(nodes: readonly BenchNode[]): void {
    if (nodes.length !== 2) throw new ScriptError("send-snapshot takes two nodes");
    const [from, to] = nodes;
    const message = createMessage(MessageType.Snap, to.raft.id);
    message.from = from.raft.id;
    message.term = from.raft.term;
    message.snapshot = from.storage.snapshot();
    this.#inFlight.push(message);
    this.#output.write(describeMessage(message));
  }

  // ------------------------------------------------------------------------------------------------------- messages

  #deliverCommand(step: Step): void {
    const recipients: { id: bigint; drop: boolean }[] = [];
    let type: MessageType | undefined;
    for (const { key, values } of step.args) {
      if (values.length === 0) recipients.push({ id: toId(key), drop: false });
      else if (key === "drop") recipients.push(...values.map((value) => ({ id: toId(value), drop: true })));
      else if (key === "type") type = toMessageType(values[0]);
    }
    let count = 0;
    for (const { id, drop } of recipients) count += this.#deliver(id, type, drop);
    if (count === 0) this.#output.write("no messages\n");
  }

  /** Takes the messages for `to` out of flight and steps (or drops) them. Returns how many. */
  #deliver(to: bigint, type: MessageType | undefined, drop: boolean): number {
    const taken: Message[] = [];
    const left: Message[] = [];
    for (const message of this.#inFlight) {
      // Local messages are never lost.
      const matches = message.to === to && !(drop && isLocal(message)) && (type === undefined || message.type === type);
      (matches ? taken : left).push(message);
    }
    this.#inFlight = left;
    for (const message of taken) {
      this.#output.write(`${drop ? "dropped: " : ""}${describeMessage(message)}\n`);
      if (!drop) this.#stepMessage(message);
    }
    return taken.length;
  }

  #stepMessage(message: Message): void {
    try {
      this.#node(String(message.to)).raft.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      this.#output.write(`${error.message}\n`);
    }
  }

  // ----------------------------------------------------------------------------------------------------------- work

  #processReady(node: BenchNode): void {
    const ready = node.raft.ready();
    this.#output.write(describeReady(ready));
    if (!node.async) {
      writeStorage(node, ready.hardState, ready.entries, ready.snapshot);
      applyEntries(node, ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (!isLocalThread(message.to)) this.#inFlight.push(message);
      else if (message.to === LOCAL_APPEND_THREAD) node.appendWork.push(message);
      else node.applyWork.push(message);
    }
    if (!node.async) node.raft.advance();
  }

  #processAppend(node: BenchNode): void {
    const message = node.appendWork.shift();
    if (message === undefined) return this.#output.write("no append work to perform");
    this.#printWork(message, () => {
      const { term, vote, commit } = message;
      const changed = term !== 0 || vote !== 0n || commit !== 0;
      writeStorage(node, changed ? { term, vote, commit } : undefined, message.entries, message.snapshot);
    });
  }

  #processApply(node: BenchNode): void {
    const message = node.applyWork.shift();
    if (message === undefined) return this.#output.write("no apply work to perform");
    this.#printWork(message, () => applyEntries(node, message.entries));
  }

  #printWork(message: Message, work: () => void): void {
    this.#output.write(`Processing:\n${describeMessage({ ...message, responses: [] })}\n`);
    work();
    this.#output.write("Responses:\n");
    for (const response of message.responses) this.#output.write(`${describeMessage(response)}\n`);
    this.#inFlight.push(...message.responses);
  }

  // ------------------------------------------------------------------------------------------------------ stabilize

  #stabilizeCommand(step: Step): void {
    const level = step.args.find((arg) => arg.key === "log-level")?.values[0];
    const before = this.#output.level;
    try {
      if (level !== undefined) this.#setLevel(level);
      const named = this.#named(step);
      this.#stabilize(named.length > 0 ? named : this.#nodes);
    } finally {
      this.#output.setLevel(before);
    }
  }

  #stabilize(nodes: readonly BenchNode[]): void {
    for (let round = 0; round < ROUNDS_MAX; round++) if (!this.#round(nodes)) return;
    throw new ScriptError("stabilize does not come to an end");
  }

  /** @returns false if nobody had anything to do. */
  #round(nodes: readonly BenchNode[]): boolean {
    let busy = false;
    const visit = (hasWork: (node: BenchNode) => boolean, work: (node: BenchNode) => void): void => {
      for (const node of nodes) {
        if (!hasWork(node)) continue;
        busy = true;
        work(node);
      }
    };
    visit(
      (node) => node.raft.hasReady(),
      (node) => this.#under(node, "handling Ready", () => this.#processReady(node)),
    );
    visit(
      (node) => this.#inFlight.some((message) => message.to === node.raft.id),
      (node) => this.#under(node, "receiving messages", () => this.#deliver(node.raft.id, undefined, false)),
    );
    visit(
      (node) => node.appendWork.length > 0,
      (node) => this.#drain(node, "processing append thread", node.appendWork, () => this.#processAppend(node)),
    );
    visit(
      (node) => node.applyWork.length > 0,
      (node) => this.#drain(node, "processing apply thread", node.applyWork, () => this.#processApply(node)),
    );
    return busy;
  }

  #drain(node: BenchNode, heading: string, queue: readonly Message[], work: () => void): void {
    this.#output.write(`> ${node.raft.id} ${heading}\n`);
    while (queue.length > 0) this.#output.indented(work);
  }
}

function isLocal(message: Message): boolean {
  return message.from === message.to || isLocalThread(message.from) || isLocalThread(message.to);
}

function toMessageType(name: string): MessageType {
  const type = messageTypes.get(name);
  if (type === undefined) throw new ScriptError(`unknown message type ${name}`);
  return type;
}

function writeStorage(
  node: BenchNode,
  hardState: HardState | undefined,
  entries: readonly Entry[],
  snapshot: Snapshot | undefined,
): void {
  if (hardState !== undefined) node.storage.setHardState(hardState);
  if (snapshot === undefined || isEmptySnapshot(snapshot)) {
    node.storage.append(entries);
    return;
  }
  if (entries.length > 0) throw new CommandError("can't apply snapshot and entries at the same time");
  node.storage.applySnapshot(snapshot);
}

/** The state machine appends: each entry makes a new snapshot with its data behind the last one's. */
function applyEntries(node: BenchNode, entries: readonly Entry[]): void {
  for (const entry of entries) {
    const last = node.storage.snapshot();
    let update = entry.data;
    let { confState } = last.metadata;
    if (isConfChangeEntry(entry)) {
      const change = decodeConfChangeEntry(entry);
      update = change.context;
      confState = node.raft.applyConfChange(change);
    }
    const data = new Uint8Array(last.data.length + update.length);
    data.set(last.data);
    data.set(update, last.data.length);
    node.storage.history.push({ data, metadata: { confState, index: entry.index, term: entry.term } });
  }
}

function parseConfChangeCommand(step: Step): AnyConfChange {
  let v1 = false;
  let transition: ConfChangeTransition = ConfChangeTransition.Auto;
  for (const { key, values } of step.args.slice(1)) {
    for (const value of values) {
      if (key === "v1") v1 = toBoolean(value);
      else if (key === "transition") transition = toTransition(value);
      else throw new CommandError(`unknown command ${key}`);
    }
  }
  let changes;
  try {
    changes = parseConfChanges(step.input);
  } catch (error) {
    throw new CommandError(error instanceof Error ? error.message : String(error));
  }
  if (!v1) return { transition, changes, context: emptyBytes };
  if (changes.length > 1 || transition !== ConfChangeTransition.Auto) {
    throw new CommandError("v1 conf change can only have one operation and no transition");
  }
  if (changes.length === 0) throw new ScriptError("v1 conf change has one operation");
  return { id: 0n, type: changes[0].type, nodeId: changes[0].nodeId, context: emptyBytes };
}

function toTransition(text: string): ConfChangeTransition {
  if (text === "auto") return ConfChangeTransition.Auto;
  if (text === "implicit") return ConfChangeTransition.JointImplicit;
  if (text === "explicit") return ConfChangeTransition.JointExplicit;
  throw new CommandError(`unknown transition ${text}`);
}
