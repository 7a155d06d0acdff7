/**
 * A real Prometheus scrapes a cluster of ours: what etcd's alerts and dashboard read gives values, by the functions that they
 * use. Debian's package `prometheus`, or one in PATH.
 */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { freePorts, patienceMs, peer } from "../support/process.ts";
import { readMetrics, type ReadMetric, usedCluster } from "../support/mixin.ts";

const inPath = spawnSync("prometheus", ["--version"]).error === undefined;
const prometheus = peer("prometheus") ?? (inPath ? "prometheus" : "");

/** As the alerts and panels do it: a rate of a counter, a quantile of a histogram, a gauge as it is. */
function expressionOf(name: string, { type, labels }: ReadMetric): string {
  const selector = '{job=~".*etcd.*"}';
  if (type === "histogram") {
    return `histogram_quantile(0.99, sum(rate(${name}_bucket${selector}[1m])) by (instance, le))`;
  }
  if (type === "gauge") return `${name}${selector}`;
  return labels.length === 0 ? `rate(${name}${selector}[1m])` : `sum(rate(${name}${selector}[1m])) by (instance)`;
}

interface Answer {
  readonly status: string;
  readonly data: { readonly result: readonly { readonly metric: Record<string, string> }[] };
}

test.skipIf(prometheus === "")(
  "Prometheus finds values for all that is read (skipped without prometheus in PATH or in QUORATE_PEERS)",
  { timeout: 5 * patienceMs },
  async () => {
    const cluster = await usedCluster();
    const [port] = await freePorts(1);
    const config = join(cluster.folder, "prometheus.yml");
    const targets = cluster.members.map(({ endpoint }) => endpoint.replace("http://", ""));
    writeFileSync(
      config,
      `global: {scrape_interval: 500ms}\nscrape_configs: [{job_name: kube-etcd, static_configs: [{targets: ${JSON.stringify(targets)}}]}]\n`,
    );
    const args = [`--config.file=${config}`, `--storage.tsdb.path=${cluster.folder}/tsdb`];
    const child = spawn(prometheus, [...args, `--web.listen-address=127.0.0.1:${port}`], { stdio: "ignore" });
    const ask = async (expression: string): Promise<Answer["data"]["result"]> => {
      const url = `http://127.0.0.1:${port}/api/v1/query?query=${encodeURIComponent(expression)}`;
      const answer = await fetch(url).then(
        (response) => response.json() as Promise<Answer>,
        () => undefined,
      );
      return answer?.data.result ?? [];
    };
    /** Until it is not empty: rates need two scrapes, and some metrics come with the first event. */
    const found = async (expression: string): Promise<Answer["data"]["result"]> => {
      for (const deadline = performance.now() + 2 * patienceMs; performance.now() < deadline;) {
        const result = await ask(expression);
        if (result.length > 0) return result;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      throw new Error(`nothing for ${expression}`);
    };
    try {
      for (const [name, metric] of Object.entries(readMetrics())) await found(expressionOf(name, metric));
      // The member that was killed is down, and its peers have a leader.
      expect(await found('up{job=~".*etcd.*"} == bool 0')).toHaveLength(3);
      expect(await found('up{job=~".*etcd.*"} == 0')).toHaveLength(1);
      expect(await found('etcd_server_has_leader{job=~".*etcd.*"} == 1')).toHaveLength(2);
      await found(
        '100 * sum(rate(grpc_server_handled_total{grpc_code=~"FailedPrecondition|Unavailable"}[5m])) without (grpc_type, grpc_code)',
      );
      await found("predict_linear(etcd_mvcc_db_total_size_in_bytes[4h], 4*60*60) < etcd_server_quota_backend_bytes");
    } finally {
      child.kill("SIGKILL");
      await cluster.close();
    }
  },
);
