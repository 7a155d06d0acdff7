/** A member with its doors in this process, as a recorded scene wants it: it advertises the recorded URLs and listens elsewhere. */
import { createNodePlatform, createStderrLogger } from "../../src/platform/node/index.ts";
import { parseArguments } from "../../src/cli/etcd/parse.ts";
import { runMember, type RunningMember } from "../../src/cli/etcd/run-member.ts";
import { resolveSettings } from "../../src/cli/etcd/settings.ts";
import type { SceneServer } from "./transcript.ts";
import type { Urls } from "./replay.ts";

const anyPort = "http://127.0.0.1:0";

export interface GatewayMember {
  readonly running: RunningMember;
  readonly urls: Urls;
}

export async function startForScene(server: SceneServer, dataDir: string): Promise<GatewayMember> {
  const lines: Record<string, string>[] = [];
  const log = createStderrLogger("info", (line) => void lines.push(JSON.parse(line) as Record<string, string>));
  const flags = withoutMetricsUrl(server.flags);
  const wantsMetrics = flags.length < server.flags.length;
  const args = [
    `--name=${server.name}`,
    `--data-dir=${dataDir}`,
    `--listen-client-urls=${anyPort}`,
    `--advertise-client-urls=${server.client}`,
    `--listen-peer-urls=${anyPort}`,
    `--initial-advertise-peer-urls=${server.peer}`,
    `--initial-cluster=${server.name}=${server.peer}`,
    `--initial-cluster-token=${server.token}`,
    ...(wantsMetrics ? [`--listen-metrics-urls=${anyPort}`] : []),
    ...flags,
  ];
  const settings = resolveSettings(parseArguments(args), { environment: {}, log, readFile: () => "" });
  const fail = (error: Error): void => {
    throw error;
  };
  const platform = createNodePlatform({ log });
  const running = await runMember({ settings, platform, onFatal: fail, onRemoved: () => {} });
  const addressOf = (text: string): string => `http://${lines.find(({ msg }) => msg.startsWith(text))?.["address"]}`;
  const client = addressOf("serving client traffic");
  const peer = addressOf("serving peer traffic");
  return { running, urls: wantsMetrics ? { client, peer, metrics: addressOf("serving metrics") } : { client, peer } };
}

/** The recorded port of `--listen-metrics-urls` may be in use here. */
function withoutMetricsUrl(flags: readonly string[]): string[] {
  const at = flags.indexOf("--listen-metrics-urls");
  return at < 0 ? [...flags] : [...flags.slice(0, at), ...flags.slice(at + 2)];
}
