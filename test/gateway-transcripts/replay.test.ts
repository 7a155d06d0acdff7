/**
 * Recorded HTTP conversations with etcd 3.5.30 (transcripts/gateway), replayed against a member in this process: the JSON
 * gateway over HTTP and WebSocket, health and version pages, access rules. What etcd 3.6 answers otherwise than 3.5 was
 * seen by replaying the same scenes against a real 3.6.14.
 */
import { afterEach, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "../support/process.ts";
import { startForScene } from "./gateway-member.ts";
import { replay, type Difference, type Urls } from "./replay.ts";
import { readScene, type Scene } from "./transcript.ts";

/** A difference that is right, by scene and step: what of the answer differs, and why. */
interface Allowed {
  readonly step: number;
  readonly what: readonly Difference["what"][];
  readonly because: string;
}

const version36 = "3.6 tells its own versions and adds that of the storage";
const metrics36 = "compared name by name with a real 3.6 in metrics.test.ts";
const redirect36 = "3.6 is built with a Go that redirects with 307, not 301";
const bearer36 = "since 3.6.13 a token may stand behind `Bearer`";
const downgrade36 = "3.6 goes down to 3.5 only, and answers CANCEL with OK when nothing is under way";

const allowed: Readonly<Record<string, readonly Allowed[]>> = {
  auth: [
    ...[38, 39, 40].map((step) => ({ step, what: ["status", "headers", "body"] as const, because: bearer36 })),
    { step: 58, what: ["body"], because: bearer36 },
  ],
  "peer-pages": [
    { step: 1, what: ["body"], because: version36 },
    { step: 6, what: ["headers"], because: version36 },
    { step: 20, what: ["body"], because: "3.6 adds hash_revision" },
    { step: 21, what: ["body"], because: "3.6 adds hash_revision" },
  ],
  errors: [
    { step: 39, what: ["status"], because: redirect36 },
    { step: 49, what: ["status", "body"], because: redirect36 },
  ],
  "cluster-maintenance": [
    { step: 8, what: ["body"], because: "since 3.6.12 an update does not promote a learner" },
    { step: 16, what: ["body"], because: "3.6 adds dbSizeQuota, downgradeInfo and storageVersion" },
    { step: 17, what: ["body"], because: "3.6 adds hash_revision" },
    { step: 18, what: ["body"], because: "3.6 adds hash_revision" },
    { step: 36, what: ["status", "headers", "body"], because: downgrade36 },
    { step: 37, what: ["status", "headers", "body"], because: downgrade36 },
    { step: 39, what: ["status", "headers", "body"], because: downgrade36 },
  ],
  "host-cors": [1, 2, 4, 5, 7, 8, 9, 10, 11].map((step) => ({ step, what: ["body"], because: version36 })),
  pages: [
    { step: 6, what: ["body"], because: version36 },
    { step: 33, what: ["metrics"], because: metrics36 },
    { step: 38, what: ["metrics"], because: metrics36 },
  ],
  "gateway-off": [
    { step: 2, what: ["body"], because: version36 },
    { step: 5, what: ["metrics"], because: metrics36 },
  ],
};

const scenes = [
  "kv",
  "lease",
  "watch",
  "errors",
  "lock-election",
  "cluster-maintenance",
  "host-cors",
  "pages",
  "gateway-off",
  "auth",
  "peer-pages",
];

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(scene: Scene): Promise<Urls> {
  const dataDir = temporaryFolder();
  cleanups.push(() => removeFolder(dataDir));
  const { running, urls } = await startForScene(scene.server, dataDir);
  cleanups.push(() => running.stop());
  // The recorded members had agreed on their version by the first step.
  for (let text = ""; !text.includes('"etcdcluster":"3.6.0"');) {
    text = await (await fetch(`${urls.client}/version`)).text();
  }
  return urls;
}

test.each(scenes)("%s: HTTP clients are answered as by etcd", async (name) => {
  const scene = readScene(name);
  const urls = await start(scene);
  const differences = await replay(scene, urls, new Set());
  const wrong = differences.filter(
    ({ step, what }) => !(allowed[name] ?? []).some((one) => one.step === step.n && one.what.includes(what)),
  );
  expect(wrong.map(({ step, ...rest }) => ({ step: `${step.n} ${step.method} ${step.path}`, ...rest }))).toEqual([]);
  // An allowance that nothing needs any more is taken out.
  const unused = (allowed[name] ?? []).filter(
    ({ step, what }) => !what.every((one) => differences.some((found) => found.step.n === step && found.what === one)),
  );
  expect(unused).toEqual([]);
});
