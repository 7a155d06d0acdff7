/** Carries out the faults of a plan, and takes each back when its time is over. */
import { join } from "node:path";
import { DiskError } from "../../src/platform/disk.ts";
import { FileInode } from "../../src/platform/virtual/drive.ts";
import { parseSegmentName } from "../../src/storage/wal/segment.ts";
import type { Link, VirtualDrive } from "../../src/platform/virtual/index.ts";
import { describeFault, type Fault, type LostFile, type Target } from "../plan/plan.ts";
import { dataDir, type Machine } from "../world/machine.ts";
import type { World } from "../world/world.ts";
import type { Operator } from "./operator.ts";

/** What takes a fault back. */
type Cure = () => void;

type Isolation = Pick<Fault & { kind: "isolate" }, "way" | "fromClients" | "forMs">;

export interface NemesisParts {
  readonly world: World;
  readonly operator: Operator;
  /** What really happened, for the story. */
  readonly tell: (line: string) => void;
}

export class Nemesis {
  readonly #parts: NemesisParts;
  readonly #cures = new Set<Cure>();
  #isOver = false;

  constructor(parts: NemesisParts) {
    this.#parts = parts;
  }

  schedule(faults: readonly Fault[]): void {
    const { world, tell } = this.#parts;
    for (const fault of faults) {
      world.scheduler.at(fault.atMs, () => {
        if (this.#isOver) return;
        const machine = this.#target("target" in fault ? fault.target : 0);
        tell(`${describeFault(fault)}${"target" in fault ? ` (${machine.name})` : ""}`);
        world.note(fault.kind);
        this.#strike(fault, machine);
      });
    }
  }

  /** No fault goes on; machines that are down come up. */
  end(): void {
    this.#isOver = true;
    for (const cure of this.#cures) cure();
    this.#cures.clear();
    const { world } = this.#parts;
    // Power failures that waited for a write do not come any more.
    for (const { drive } of world.machines) drive.crashAt(Infinity, () => undefined);
    world.internet.healAll();
  }

  #target(target: Target): Machine {
    const { machines } = this.#parts.operator;
    const leader = machines.find((machine) => machine.isServing && machine.member?.raft.isLeader === true);
    return target === "leader" ? (leader ?? machines[0]) : machines[target % machines.length];
  }

  #cureAfter(forMs: number, cure: Cure): void {
    const once = (): void => {
      if (this.#cures.delete(once)) cure();
    };
    this.#cures.add(once);
    this.#parts.world.scheduler.after(forMs, once);
  }

  #bootAfter(forMs: number, machine: Machine): void {
    this.#cureAfter(forMs, () => {
      if (this.#parts.operator.machines.includes(machine)) void machine.boot();
    });
  }

  #strike(fault: Fault, machine: Machine): void {
    const { operator, world } = this.#parts;
    switch (fault.kind) {
      case "powerFailure":
        machine.powerFail();
        return this.#bootAfter(fault.forMs, machine);
      case "powerFailureAtWrite":
        return this.#failPowerAt(machine, fault.operation, fault.forMs);
      case "blackout":
        for (const one of operator.machines) {
          one.powerFail();
          this.#bootAfter(fault.forMs, one);
        }
        return;
      case "kill":
        machine.kill();
        return this.#bootAfter(fault.forMs, machine);
      case "stop":
        void machine.stop().then(() => this.#bootAfter(fault.forMs, machine));
        return;
      case "pause":
        return this.#pause(machine, fault.forMs);
      case "sleepAlone":
        this.#isolate(machine, { way: "both", fromClients: false, forMs: fault.forMs + fault.aloneMs });
        return this.#pause(machine, fault.forMs);
      case "slow": {
        const clock = machine.platform?.clock;
        if (clock === undefined) return;
        Object.assign(clock, { turnCostMs: fault.turnCostMs, lookCostMs: fault.lookCostMs });
        return this.#cureAfter(fault.forMs, () => Object.assign(clock, { turnCostMs: 0, lookCostMs: 0 }));
      }
      case "drift":
        machine.rate = fault.rate;
        if (machine.platform !== undefined) machine.platform.clock.rate = fault.rate;
        return;
      case "clockJump":
        machine.wallOffsetMs += fault.byMs;
        if (machine.platform !== undefined) machine.platform.clock.wallOffsetMs = machine.wallOffsetMs;
        return;
      case "isolate":
        return this.#isolate(machine, fault);
      case "cut":
        return this.#cut(fault);
      case "badNetwork":
        return this.#spoilNetwork(machine, fault, fault.forMs);
      case "reset":
        return world.internet.reset(machine.host);
      case "slowDisk": {
        const times = machine.platform?.disk.times;
        if (times === undefined) return;
        const before = times.syncMs;
        times.syncMs = fault.syncMs;
        return this.#cureAfter(fault.forMs, () => (times.syncMs = before));
      }
      case "stalledDisk": {
        const disk = machine.platform?.disk;
        if (disk === undefined) return;
        disk.times.isSyncStalled = true;
        return this.#cureAfter(fault.forMs, () => disk.resumeSyncs());
      }
      case "fullDisk": {
        const { drive } = machine;
        drive.capacity = drive.allocated + fault.spareBytes;
        return this.#cureAfter(fault.forMs, () => (drive.capacity = Infinity));
      }
      case "failedSync":
        return this.#failSync(machine.drive, fault.count, fault.forMs);
      case "bitFlip":
        return this.#flipBit(machine, fault.where, fault.forMs);
      case "lostDisk":
        return operator.enqueue(fault.kind, async () => {
          if (!this.#othersAreWell(machine)) return;
          machine.kill();
          machine.replaceDrive(world.machines.length * 7 + machine.boots);
          operator.markDamaged(machine);
          operator.replaceLost(machine);
          await Promise.resolve();
        });
      case "failpoint": {
        const { failpoints } = machine;
        failpoints?.set(fault.name, fault.terms);
        return this.#cureAfter(fault.forMs, () => failpoints?.clear(fault.name));
      }
      case "moveLeader":
        return operator.enqueue(fault.kind, () => operator.moveLeader(this.#target(fault.to)));
      case "defragment":
        return operator.enqueue(fault.kind, () => {
          this.#failPowerAt(machine, fault.failsAt, fault.forMs);
          return operator.defragment(machine);
        });
      case "compact":
        return operator.enqueue(fault.kind, () => {
          this.#failPowerAt(machine, fault.failsAt, fault.forMs);
          return operator.compact(machine);
        });
      case "lostFile":
        return this.#loseFile(machine, fault.file, fault.forMs);
      case "snapshot":
        return operator.enqueue(fault.kind, () => operator.backUp(machine));
      case "grow":
        return operator.enqueue(fault.kind, () => operator.grow(fault.learnsForMs));
      case "shrink":
        return operator.enqueue(fault.kind, () => operator.shrink(machine));
      case "replace":
        return operator.enqueue(fault.kind, () => operator.replace(machine, false));
      case "compareHashes":
        return operator.enqueue(fault.kind, () => operator.compareHashes());
      case "downgrade":
        return operator.enqueue(fault.kind, () => operator.downgrade(fault.forMs));
    }
  }

  /** @param operation - from now; 0 for never. */
  #failPowerAt(machine: Machine, operation: number, forMs: number): void {
    if (operation === 0 || this.#isOver) return;
    machine.powerFailAtOperation(operation, () => {
      this.#parts.tell(`[${this.#parts.world.nowMs.toFixed(1)}] ${machine.name} loses power at a disk operation`);
      this.#bootAfter(forMs, machine);
    });
  }

  /** It starts without, from what the log still has, or refuses and is replaced. */
  #loseFile(machine: Machine, file: LostFile, forMs: number): void {
    if (!this.#othersAreWell(machine) || !machine.isServing) return;
    machine.kill();
    this.#parts.operator.markDamaged(machine);
    const directory = machine.drive.find(join(dataDir, "member", "snap"));
    if (directory?.kind === "directory") {
      const names = [...directory.current.keys()].sort();
      const name = file === "database" ? "db" : names.filter((one) => one.endsWith(".snap")).at(-1);
      if (name !== undefined) {
        directory.current.delete(name);
        directory.durable.delete(name);
      }
    }
    this.#bootAfter(forMs, machine);
  }

  /** Whether all other members serve, so that losing this one's data is survivable. */
  #othersAreWell(machine: Machine): boolean {
    const { operator } = this.#parts;
    return operator.isWhole && operator.machines.every((one) => one === machine || one.isServing);
  }

  #pause(machine: Machine, forMs: number): void {
    const clock = machine.platform?.clock;
    clock?.pause();
    this.#cureAfter(forMs, () => clock?.resume());
  }

  #isolate(machine: Machine, { way, fromClients, forMs }: Isolation): void {
    const { internet, machines, clientHosts } = this.#parts.world;
    const others = machines.filter((one) => one !== machine).map(({ host }) => host);
    const hosts = fromClients ? [...others, ...clientHosts] : others;
    for (const host of hosts) {
      if (way !== "out") internet.cutOneWay(host, machine.host);
      if (way !== "in") internet.cutOneWay(machine.host, host);
    }
    this.#cureAfter(forMs, () => hosts.forEach((host) => internet.heal(host, machine.host)));
  }

  #cut({ from, to, isOneWay, forMs }: Fault & { kind: "cut" }): void {
    const { internet } = this.#parts.world;
    const [a, b] = [this.#target(from).host, this.#target(to).host];
    if (a === b) return;
    if (isOneWay) internet.cutOneWay(a, b);
    else internet.cut(a, b);
    this.#cureAfter(forMs, () => internet.heal(a, b));
  }

  #spoilNetwork(machine: Machine, { delayMs, jitterMs, lossRate }: Omit<Link, "isCut">, forMs: number): void {
    const { internet, machines } = this.#parts.world;
    const links = machines.flatMap(({ host }) =>
      host === machine.host ? [] : [internet.link(host, machine.host), internet.link(machine.host, host)],
    );
    for (const link of links) Object.assign(link, { delayMs, jitterMs, lossRate });
    this.#cureAfter(forMs, () => {
      for (const link of links) Object.assign(link, { delayMs: undefined, jitterMs: 0, lossRate: 0 });
    });
  }

  #failSync(drive: VirtualDrive, count: number, forMs: number): void {
    let left = count;
    drive.fault = (operation, path) => {
      if (operation !== "sync" || --left > 0) return;
      drive.fault = undefined;
      throw new DiskError("EIO", path, `EIO: i/o error, fdatasync '${path}'`);
    };
    this.#cureAfter(forMs, () => (drive.fault = undefined));
  }

  /**
   * One bit of the content of a record in the log, or of a snapshot file. Lengths of records are left alone: a record
   * whose length is damaged cannot be told from one that was cut short by a crash, in etcd's format.
   */
  #flipBit(machine: Machine, where: number, forMs: number): void {
    if (!this.#othersAreWell(machine) || !machine.isServing) return;
    machine.kill();
    this.#parts.operator.markDamaged(machine);
    const walDir = join(dataDir, "member", "wal");
    const directory = machine.drive.find(walDir);
    if (directory?.kind === "directory") {
      const names = [...directory.current.keys()].filter((name) => parseSegmentName(name) !== undefined).sort();
      const inode = directory.current.get(names[Math.floor(where * names.length)] ?? "");
      if (inode instanceof FileInode) flipInRecord(inode, where);
    }
    this.#bootAfter(forMs, machine);
  }
}

/** Walks over the frames: 8 bytes of little-endian length (the top byte is padding), then the record. */
function flipInRecord(file: FileInode, where: number): void {
  const frames: { start: number; size: number }[] = [];
  const head = new Uint8Array(8);
  for (let offset = 0; file.current.read(head, offset) === 8;) {
    const view = new DataView(head.buffer);
    const size = view.getUint32(0, true);
    if (size === 0) break;
    frames.push({ start: offset + 8, size });
    const padding = head[7] & 0x80 ? head[7] & 0x07 : 0;
    offset += 8 + size + padding;
  }
  const frame = frames[Math.floor(where * 7919) % Math.max(1, frames.length)];
  if (frame === undefined) return;
  const at = frame.start + (Math.floor(where * 104_729) % frame.size);
  const byte = new Uint8Array(1);
  file.current.read(byte, at);
  byte[0] ^= 1 << (Math.floor(where * 1_299_709) % 8);
  file.write(byte, at);
  file.commitTo(file.committed + file.pending.length);
}
