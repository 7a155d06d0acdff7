/**
 * Where etcd 3.6 answers otherwise than the recorded 3.5.30. Every row says what and why; what no row names must be
 * equal. The rows hold for Go's etcd 3.6.14 too: QUORATE_TEST_ETCD=/path/to/etcd plays the scenes against another
 * program.
 */
import type { Answer, Json, Step, UnaryStep } from "./transcript.ts";

type Fields = { readonly [name: string]: Json };

interface Difference {
  readonly why: string;
  readonly method: string;
  /** Scene → steps; all steps of the method when absent. */
  readonly steps?: Readonly<Record<string, readonly number[]>>;
  readonly change: (step: UnaryStep, scene: string) => UnaryStep;
}

const differences: readonly Difference[] = [
  ...["/etcdserverpb.KV/Range", "/etcdserverpb.KV/Put", "/etcdserverpb.Cluster/MemberList"].map((method) => ({
    why: "3.6 calls what a learner does not serve a failed precondition, 3.5 unavailable",
    method,
    steps: { cluster3: [49, 51, 53] },
    change: (step: UnaryStep) =>
      answering(step, { status: { code: 9, message: "etcdserver: rpc not supported for learner" } }),
  })),
  {
    why: "3.6 reports its own version, the storage version, the quota in force, and always the state of a downgrade",
    method: "/etcdserverpb.Maintenance/Status",
    change: (step, scene) =>
      withFields(step, {
        version: "3.6.14",
        storageVersion: "3.6.0",
        dbSizeQuota: scene === "limits-quota" ? "300000" : "2147483648",
        downgradeInfo: {},
      }),
  },
  {
    why: "3.6 says which revision was hashed: the one asked for, or the current one",
    method: "/etcdserverpb.Maintenance/HashKV",
    change: (step, scene) => {
      // A compaction at revision 0 leaves the hash of "revision 0" behind, and 0 is absent in JSON (README of the scenes).
      if (scene === "kv-compact" && [27, 31, 35, 37].includes(step.n)) return step;
      const asked = fieldsOf({ res: step.req ?? {} })["revision"] as number | undefined;
      const { revision } = (fieldsOf(step)["header"] ?? {}) as Fields;
      return withFields(step, { hash_revision: asked === undefined ? (revision ?? "") : String(asked) });
    },
  },
  {
    why: "3.6 refuses sort orders and targets that it does not know; 3.5 ignores them (api.md 4.1)",
    method: "/etcdserverpb.KV/Range",
    steps: { "kv-range": [73, 74] },
    change: (step) => answering(step, { status: { code: 3, message: "etcdserver: invalid sort option" } }),
  },
  {
    why: "the same for ranges inside a transaction",
    method: "/etcdserverpb.KV/Txn",
    steps: { "kv-txn-ops": [41] },
    change: (step) => answering(step, { status: { code: 3, message: "etcdserver: invalid sort option" } }),
  },
  {
    why: "one minor version later, what may be gone back to is one minor version later too; the answer is `3.6`, not `3.6.0`",
    method: "/etcdserverpb.Maintenance/Downgrade",
    change: (step) => {
      const { req_b64: _exact, ...rest } = step;
      const request = fieldsOf({ res: step.req ?? {} });
      const { version } = request;
      const later = typeof version === "string" ? { version: nextMinor(version) } : {};
      const shifted = { ...rest, req: { ...request, ...later } };
      return step.res === undefined ? shifted : withFields(shifted, { version: "3.6" });
    },
  },
  {
    why: "3.6 answers OK when there is no downgrade to cancel (api.md 8)",
    method: "/etcdserverpb.Maintenance/Downgrade",
    steps: { maintenance: [65, 72] },
    change: (step) => answering(step, { res: downgradeAnswer }),
  },
  {
    why: "3.6 answers when a downgrade begins and when it is cancelled; 3.5.30 lets these calls time out",
    method: "/etcdserverpb.Maintenance/Downgrade",
    steps: { maintenance: [69, 71] },
    change: (step) => answering(step, { res: downgradeAnswer }),
  },
  {
    why: "whether the cluster version is lowered, and raised again, in the meantime depends on time",
    method: "/etcdserverpb.Maintenance/Downgrade",
    steps: { maintenance: [71, 72] },
    change: (step) => ({ ...step, norm: ["res.version"] }),
  },
  {
    why: "3.6 looks for the member before it counts who would be left",
    method: "/etcdserverpb.Cluster/MemberRemove",
    steps: { "cluster-single": [31, 32] },
    change: (step) => answering(step, { status: { code: 5, message: "etcdserver: member not found" } }),
  },
  ...["/etcdserverpb.Cluster/MemberUpdate", "/etcdserverpb.Cluster/MemberList"].map((method) => ({
    why: "3.5.30 forgets that a member is a learner when its URLs change; a fault, mended since (api.md 7)",
    method,
    steps: { "cluster-single": [28, 29, 30] },
    change: (step: UnaryStep) => withFields(step, { members: (fieldsOf(step)["members"] as Json[]).map(asLearner) }),
  })),
  {
    why: "3.6 gives refusals of maintenance calls the codes and texts of all others; 3.5.30 shows its inner ones",
    method: "/etcdserverpb.Maintenance/Defragment",
    change: withOuterStatus,
  },
  { why: "as Defragment", method: "/etcdserverpb.Maintenance/HashKV", change: withOuterStatus },
  {
    why: "any user may ask for the status since 3.6.14",
    method: "/etcdserverpb.Maintenance/Status",
    steps: { "auth-enforced": [110, 150, 170, 190, 210] },
    change: (step) => ({ ...answering(step, { res: statusAnswer }), norm: ["res.header.revision"] }),
  },
  {
    why: "3.6 answers that the role root may do everything, whatever is stored",
    method: "/etcdserverpb.Auth/RoleGet",
    steps: { "auth-setup": [41] },
    change: (step) => withFields(step, { perm: [{ permType: "READWRITE", range_end: "AA==" }] }),
  },
  {
    why: "a permission type without a name prints as UNRECOGNIZED in our JSON; on the wire it is the number",
    method: "/etcdserverpb.Auth/RoleGet",
    steps: { "auth-setup": [39, 48] },
    change: (step) => {
      const permissions = fieldsOf(step)["perm"] as readonly Fields[];
      const perm = permissions.map((one) => (one["permType"] === 7 ? { ...one, permType: "UNRECOGNIZED" } : one));
      return withFields(step, { perm });
    },
  },
];

/** What Status answers to a user without permissions. */
const statusAnswer: Json = {
  header: { cluster_id: "17913364820440770173", member_id: "${id_s1}" },
  version: "3.6.14",
  storageVersion: "3.6.0",
  dbSizeQuota: "2147483648",
  downgradeInfo: {},
  leader: "${id_s1}",
};

/** 3.5's inner texts of refusals → what 3.6 answers. */
const outerStatuses: Readonly<Record<string, { readonly code: number; readonly message: string }>> = {
  "auth: user name is empty": { code: 3, message: "etcdserver: user name is empty" },
  "auth: invalid auth token": { code: 16, message: "etcdserver: invalid auth token" },
  "auth: permission denied": { code: 7, message: "etcdserver: permission denied" },
};

function withOuterStatus(step: UnaryStep): UnaryStep {
  const outer = outerStatuses[step.status?.message ?? ""];
  return outer === undefined ? step : answering(step, { status: outer });
}

/** The learner of `cluster-single`. */
function asLearner(member: Json): Json {
  const { ID } = member as Fields;
  return ID === "${L}" ? { ...(member as Fields), isLearner: true } : member;
}

/** What Downgrade answers. */
const downgradeAnswer: Json = {
  header: { cluster_id: "17913364820440770173", member_id: "${id_s1}", revision: "7" },
  version: "3.6",
};

/** The step as etcd 3.6 answers it. */
export function translate(scene: string, step: Step): Step {
  if (step.kind !== "unary") return step;
  let translated = step;
  for (const { method, steps, change } of differences) {
    if (method !== step.method) continue;
    if (steps !== undefined && !(steps[scene] ?? []).includes(step.n)) continue;
    translated = change(translated, scene);
  }
  return translated;
}

/** Fields added to the answer, if it is a message. */
function withFields(step: UnaryStep, fields: Fields): UnaryStep {
  return step.res === undefined ? step : { ...step, res: { ...fieldsOf(step), ...fields } };
}

function answering(step: UnaryStep, answer: Answer): UnaryStep {
  const { res: _res, res_b64: _bytes, status: _status, ...rest } = step;
  return { ...rest, ...answer };
}

function fieldsOf({ res }: { readonly res?: Json }): Fields {
  return (res ?? {}) as Fields;
}

function nextMinor(version: string): string {
  return version.replace(/^(-?v?\d+\.)(\d+)/, (_whole, major: string, minor: string) => `${major}${Number(minor) + 1}`);
}
