/**
 * The metrics of a fresh member beside those of a real etcd 3.6.14 (test/fixtures/metrics: names, types, labels and
 * bounds, recorded with --metrics=extensive): whoever reads the one can read the other.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "../support/process.ts";
import { startForScene, type GatewayMember } from "./gateway-member.ts";

interface Shape {
  readonly type: string;
  readonly labels?: readonly string[];
  readonly bounds?: readonly string[];
}

/** What a real member has and ours has not, and why. */
const gaps: Readonly<Record<string, string>> = {
  etcd_snap_db_fsync_duration_seconds: "a received database is timed as a whole: etcd_network_snapshot_receive_*",
  etcd_snap_db_save_total_duration_seconds: "a received database is timed as a whole: etcd_network_snapshot_receive_*",
};

const real = JSON.parse(
  readFileSync(join(import.meta.dirname, "../fixtures/metrics/etcd-3.6.14.json"), "utf8"),
) as Record<string, Shape>;

const dataDir = temporaryFolder();
let member: GatewayMember;

beforeAll(async () => {
  const urls = { client: "http://127.0.0.1:43600", peer: "http://127.0.0.1:43601" };
  member = await startForScene({ id: "", name: "m", token: "t", flags: ["--metrics=extensive"], ...urls }, dataDir);
  // Every member has agreed on a version by the time somebody reads its metrics.
  for (let text = ""; !text.includes('"etcdcluster":"3.6.0"');) {
    text = await (await fetch(`${member.urls.client}/version`)).text();
  }
});

afterAll(async () => {
  await member.running.stop();
  removeFolder(dataDir);
});

async function metrics(): Promise<string> {
  return (await fetch(`${member.urls.client}/metrics`)).text();
}

function shapesOf(text: string): Map<string, Shape> {
  const shapes = new Map<string, Shape>();
  for (const section of text.split(/^# HELP /m).slice(1)) {
    const [, typeLine, ...lines] = section.split("\n");
    const [name, type] = typeLine.replace("# TYPE ", "").split(" ");
    const labels = new Set<string>();
    const bounds = new Set<string>();
    for (const line of lines) {
      for (const [, label, value] of line.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
        if (label === "le") bounds.add(value);
        else if (label !== "quantile") labels.add(label);
      }
    }
    shapes.set(name, {
      type,
      ...(labels.size > 0 ? { labels: [...labels].sort() } : {}),
      ...(bounds.size > 0 ? { bounds: [...bounds] } : {}),
    });
  }
  return shapes;
}

test("a fresh member shows what a fresh etcd 3.6 shows, with the same types, labels and bounds", async () => {
  const ours = shapesOf(await metrics());
  for (const name of Object.keys(gaps)) expect(ours.has(name), `${name} is there: take the gap out`).toBe(false);
  const wanted = Object.entries(real).filter(([name]) => !(name in gaps));
  expect(Object.fromEntries(wanted.map(([name]) => [name, ours.get(name)]))).toEqual(Object.fromEntries(wanted));
});

test("it shows nothing that a fresh etcd 3.6 does not show", async () => {
  const ours = [...shapesOf(await metrics()).keys()];
  expect(ours.filter((name) => !(name in real))).toEqual([]);
});

test("names come in order, and each value is a number", async () => {
  const text = await metrics();
  const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
  expect(names).toEqual([...names].sort());
  for (const line of text.trimEnd().split("\n")) {
    if (!line.startsWith("#")) expect(line).toMatch(/ (NaN|[+-]Inf|-?\d+(\.\d+)?(e[+-]\d{2,})?)$/);
  }
});

test("labelled metrics appear with their first use", async () => {
  const { client } = member.urls;
  await (await fetch(`${client}/v3/kv/range`, { method: "POST", body: '{"key":"YQ=="}' })).text();
  await (await fetch(`${client}/readyz/non_learner`)).text();
  const text = await metrics();
  expect(text).toContain('etcd_server_range_duration_seconds_count{success="true"} 1\n');
  expect(text).toContain('etcd_server_healthcheck{name="non_learner",type="readyz"} 1\n');
  expect(text).toContain(
    'grpc_server_started_total{grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1\n',
  );
});

test("the page is compressed for those who take it so", async () => {
  const { request } = await import("node:http");
  const body = await new Promise<Buffer>((resolve, reject) => {
    const sent = request(`${member.urls.client}/metrics`, { headers: { "Accept-Encoding": "gzip" } }, (response) => {
      expect(response.headers["content-encoding"]).toBe("gzip");
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve(Buffer.concat(chunks)));
    });
    sent.on("error", reject);
    sent.end();
  });
  expect(gunzipSync(body).toString()).toContain("etcd_server_has_leader 1\n");
});
