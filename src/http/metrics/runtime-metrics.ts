/**
 * The process and its runtime. `process_*` are what they say; `go_*` exist because dashboards and tools expect them, and
 * hold the nearest honest value of this runtime (compat: process.md).
 */
import { constants, PerformanceObserver } from "node:perf_hooks";
import { availableParallelism } from "node:os";
import { getHeapStatistics } from "node:v8";
import type { Disk } from "../../platform/disk.ts";
import type { MetricsRegistry } from "./registry.ts";

/** Durations of garbage collections since the start. */
class CollectionTimes {
  count = 0;
  seconds = 0;
  longest = 0;
  lastAt = 0;
  readonly #observer: PerformanceObserver;

  constructor() {
    this.#observer = new PerformanceObserver((list) => {
      for (const { duration, startTime, detail } of list.getEntries() as PerformanceEntryWithKind[]) {
        this.count++;
        this.seconds += duration / 1000;
        this.longest = Math.max(this.longest, duration / 1000);
        if (detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR) this.lastAt = startTime / 1000;
      }
    });
    this.#observer.observe({ entryTypes: ["gc"] });
  }
}

interface PerformanceEntryWithKind {
  readonly duration: number;
  readonly startTime: number;
  readonly detail?: { readonly kind?: number };
}

/** @param startedAt - wall clock of the process' start, milliseconds. */
export function registerRuntimeMetrics(registry: MetricsRegistry, disk: Disk, startedAt: number): void {
  registerProcessMetrics(registry, disk, startedAt);
  registerHeapMetrics(registry, startedAt);
}

function registerProcessMetrics(registry: MetricsRegistry, disk: Disk, startedAt: number): void {
  const limits = readLimits(disk);
  registry.counter("process_cpu_seconds_total", "User and system CPU time spent, in seconds.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  registry.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", () => process.memoryUsage.rss());
  registry.gauge("process_virtual_memory_bytes", "Virtual memory size in bytes.", () => virtualMemory(disk));
  registry.gauge(
    "process_virtual_memory_max_bytes",
    "Most virtual memory available, in bytes.",
    () => limits.addressSpace,
  );
  registry.gauge(
    "process_start_time_seconds",
    "Start of the process since the unix epoch, in seconds.",
    () => startedAt / 1000,
  );
  registry.gauge("process_open_fds", "Open file descriptors.", () => openDescriptors(disk));
  registry.gauge("process_max_fds", "Most file descriptors that may be open.", () => limits.openFiles);
  registry.counter("process_network_receive_bytes_total", "Bytes received by all network interfaces.", () =>
    networkBytes(disk, receivedColumn),
  );
  registry.counter("process_network_transmit_bytes_total", "Bytes sent by all network interfaces.", () =>
    networkBytes(disk, sentColumn),
  );
  registry.gauge("os_fd_used", "File descriptors in use.", () => openDescriptors(disk));
  registry.gauge("os_fd_limit", "Limit of file descriptors.", () => limits.openFiles);
}

function registerHeapMetrics(registry: MetricsRegistry, startedAt: number): void {
  const collections = new CollectionTimes();
  registry.summary("go_gc_duration_seconds", "Pauses of the garbage collector.", () => ({
    quantiles: new Map([
      ["0.5", collections.count === 0 ? 0 : collections.seconds / collections.count],
      ["1", collections.longest],
    ]),
    sum: collections.seconds,
    count: collections.count,
  }));
  const gauges: Readonly<Record<string, readonly [help: string, read: () => number]>> = {
    go_goroutines: ["Activities of the runtime: this one has a single event loop.", () => 1],
    go_threads: ["Threads of the process.", () => threadCount],
    go_sched_gomaxprocs_threads: ["Processors available to the process.", () => availableParallelism()],
    go_gc_gogc_percent: ["Go's garbage collector is not here: -1 is its word for off.", () => -1],
    go_gc_gomemlimit_bytes: ["Heap size limit.", () => getHeapStatistics().heap_size_limit],
    go_memstats_alloc_bytes: ["Bytes of heap objects.", () => getHeapStatistics().used_heap_size],
    go_memstats_heap_alloc_bytes: ["Bytes of heap objects.", () => getHeapStatistics().used_heap_size],
    go_memstats_heap_inuse_bytes: ["Bytes of heap in use.", () => getHeapStatistics().total_physical_size],
    go_memstats_heap_sys_bytes: ["Bytes of heap from the system.", () => getHeapStatistics().total_heap_size],
    go_memstats_heap_idle_bytes: ["Bytes of heap waiting for use.", () => getHeapStatistics().total_available_size],
    go_memstats_sys_bytes: ["Bytes from the system.", () => process.memoryUsage.rss()],
    go_memstats_next_gc_bytes: ["Heap size limit.", () => getHeapStatistics().heap_size_limit],
    go_memstats_other_sys_bytes: ["Bytes outside the heap: buffers.", () => process.memoryUsage().external],
    go_memstats_last_gc_time_seconds: [
      "End of the last full collection since the unix epoch.",
      () => (collections.lastAt === 0 ? 0 : startedAt / 1000 + collections.lastAt),
    ],
  };
  for (const [name, [help, read]] of Object.entries(gauges)) registry.gauge(name, help, read);
  registry.gauge("go_info", "The runtime.", () => [{ labels: { version: `node${process.versions.node}` }, value: 1 }]);
  let allocated = 0;
  registry.counter("go_memstats_alloc_bytes_total", "Most bytes of heap objects seen: V8 does not count all.", () => {
    allocated = Math.max(allocated, getHeapStatistics().used_heap_size);
    return allocated;
  });
  for (const name of notCounted) registry.gauge(name, "Not counted by this runtime.", () => 0);
  for (const name of notCountedEver) registry.counter(name, "Not counted by this runtime.", () => 0);
}

/** What only Go's allocator has a number for; here because tools ask for the names. */
const notCounted = [
  "go_memstats_buck_hash_sys_bytes",
  "go_memstats_gc_sys_bytes",
  "go_memstats_heap_objects",
  "go_memstats_heap_released_bytes",
  "go_memstats_mcache_inuse_bytes",
  "go_memstats_mcache_sys_bytes",
  "go_memstats_mspan_inuse_bytes",
  "go_memstats_mspan_sys_bytes",
  "go_memstats_stack_inuse_bytes",
  "go_memstats_stack_sys_bytes",
];
const notCountedEver = ["go_memstats_frees_total", "go_memstats_mallocs_total"];

/** The loop, and libuv's pool of four. */
const threadCount = 5;

function openDescriptors(disk: Disk): number {
  try {
    return disk.list("/proc/self/fd").length;
  } catch {
    return 0; // Not Linux: there is no such folder.
  }
}

export function openFileLimit(disk: Disk): number {
  return readLimits(disk).openFiles;
}

function readLimits(disk: Disk): { openFiles: number; addressSpace: number } {
  const text = readProc(disk, "/proc/self/limits");
  const soft = (name: string): number => {
    const found = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(text)?.[1];
    return found === undefined || found === "unlimited" ? -1 : Number(found);
  };
  return { openFiles: soft("Max open files"), addressSpace: soft("Max address space") };
}

/** Columns of /proc/net/dev behind the name of the interface. */
const receivedColumn = 0;
const sentColumn = 8;

function networkBytes(disk: Disk, column: number): number {
  let total = 0;
  for (const match of readProc(disk, "/proc/self/net/dev").matchAll(/^\s*\S+:\s*(.*)$/gm)) {
    total += Number(match[1].trim().split(/\s+/)[column]);
  }
  return total;
}

function virtualMemory(disk: Disk): number {
  return Number(readProc(disk, "/proc/self/stat").split(") ")[1]?.split(" ")[20] ?? 0);
}

function readProc(disk: Disk, path: string): string {
  try {
    const file = disk.open(path, "read");
    try {
      const target = Buffer.alloc(8192);
      return target.toString("latin1", 0, file.readSync(target, 0));
    } finally {
      file.close();
    }
  } catch {
    return ""; // Not Linux.
  }
}
