/**
 * `--enable-pprof`: `/debug/pprof/` with what this runtime can honestly say where Go's has a profile. CPU and heap are
 * real profiles; what has no counterpart (goroutines, threads, locks) says what there is instead.
 *
 * @see etcd pkg/debugutil/pprof.go, Go net/http/pprof
 */
import { redactArguments } from "../../base/redact.ts";
import type { Clock } from "../../platform/clock.ts";
import type { Page, PageResponse } from "../page.ts";
import { sendError, sendText } from "../responses.ts";
import { ProfileEncoder } from "./profile-encoder.ts";
import { Profiler, ProfilerBusyError } from "./profiler.ts";

export const pprofPrefix = "/debug/pprof/";

const defaultSeconds = 30;
/** Longest CPU profile: its samples are held in memory. */
const secondsMax = 600;

/** Name → what it is. */
const profiles: Readonly<Record<string, string>> = {
  block: "Waiting for locks; there are none here: an empty profile",
  cmdline: "The command line of this process",
  goroutine: "What this process waits for, by kind, in place of goroutines",
  heap: "Live objects by where they were allocated, one sample in 512 KiB; read it with `go tool pprof`",
  mutex: "Holders of contended locks; there are none here: an empty profile",
  profile: "CPU profile over ?seconds=30; read it with `go tool pprof`",
  threadcreate: "Stacks that created threads; not known here: an empty profile",
};

/** The page for all paths below {@link pprofPrefix}. Starts to sample the heap. */
export async function pprofPage(clock: Clock): Promise<Page> {
  const profiler = await Profiler.start(clock);
  return (_request, response, url) => {
    const name = url.pathname.slice(pprofPrefix.length);
    const isText = Number(url.searchParams.get("debug") ?? 0) > 0;
    switch (name) {
      case "":
        sendIndex(response);
        return;
      case "cmdline":
        sendText(response, redactArguments(process.argv).join("\0"), noSniff);
        return;
      case "symbol":
        sendText(response, "num_symbols: 1\n", noSniff);
        return;
      case "trace":
        sendError(response, 501, "execution traces are those of Go's runtime; take a CPU profile instead");
        return;
      case "profile":
        void sendCpu(profiler, response, url);
        return;
      case "heap":
        sendProfile(response, "heap", profiler.heap());
        return;
      case "goroutine":
        if (isText) sendText(response, waitingText(), noSniff);
        else sendProfile(response, name, waitingProfile(clock));
        return;
      case "block":
      case "mutex":
      case "threadcreate":
        if (isText) sendText(response, `${profiles[name]}\n`, noSniff);
        else sendProfile(response, name, counted([], name, clock));
        return;
      default:
        sendError(response, 404, "Unknown profile");
    }
  };
}

const noSniff = { "X-Content-Type-Options": "nosniff" };

function sendIndex(response: PageResponse): void {
  const rows = Object.entries(profiles).map(
    ([name, text]) => `<tr><td><a href="${name}">${name}</a></td><td>${text}</td></tr>`,
  );
  const body = `<html>
<head>
<title>/debug/pprof/</title>
</head>
<body>
/debug/pprof/
<table>
${rows.join("\n")}
</table>
</body>
</html>
`;
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", ...noSniff });
  response.end(body);
}

async function sendCpu(profiler: Profiler, response: PageResponse, url: URL): Promise<void> {
  const asked = Number(url.searchParams.get("seconds") ?? 0);
  const seconds = asked > 0 ? asked : defaultSeconds;
  if (seconds > secondsMax) {
    sendError(response, 400, `profile duration exceeds ${secondsMax} seconds`);
    return;
  }
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  try {
    sendProfile(response, "profile", await profiler.cpu(seconds * 1000, gone.signal));
  } catch (error) {
    if (!(error instanceof ProfilerBusyError)) throw error;
    sendError(response, 500, `Could not enable CPU profiling: ${error.message}`);
  }
}

function sendProfile(response: PageResponse, name: string, bytes: Uint8Array): void {
  response.writeHead(200, {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename="${name}"`,
    "Content-Length": bytes.length,
    ...noSniff,
  });
  response.end(bytes);
}

/** Kind of what the event loop waits for → how many. */
function waiting(): [string, number][] {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].sort(([, a], [, b]) => b - a);
}

function waitingText(): string {
  const kinds = waiting();
  const total = kinds.reduce((sum, [, count]) => sum + count, 0);
  const lines = kinds.map(([kind, count]) => `${count} @ ${kind}\n`);
  return `goroutine profile: total ${total} (no goroutines: what the event loop waits for)\n${lines.join("")}`;
}

function waitingProfile(clock: Clock): Uint8Array {
  return counted(waiting(), "goroutine", clock);
}

function counted(counts: readonly (readonly [string, number])[], type: string, clock: Clock): Uint8Array {
  const kind = { type, unit: "count" };
  const encoder = new ProfileEncoder({
    values: [kind],
    period: { ...kind, every: 1 },
    takenAt: clock.now(),
    durationMs: 0,
  });
  for (const [functionName, count] of counts) encoder.sample([{ functionName, url: "", lineNumber: -1 }], [count]);
  return encoder.finish();
}
