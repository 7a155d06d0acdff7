/** etcd 3.6's server feature gates: `--feature-gates=A=true,B=false`, and the 3.5 flags that became gates. */
import { bool } from "./values.ts";

interface Gate {
  readonly default: boolean;
  readonly stage: "ALPHA" | "BETA";
  /** The 3.5 flag that set the same thing. */
  readonly formerFlag?: string;
}

export const gates = {
  StopGRPCServiceOnDefrag: {
    default: false,
    stage: "ALPHA",
    formerFlag: "experimental-stop-grpc-service-on-defrag",
  },
  InitialCorruptCheck: { default: false, stage: "ALPHA", formerFlag: "experimental-initial-corrupt-check" },
  CompactHashCheck: { default: false, stage: "ALPHA", formerFlag: "experimental-compact-hash-check-enabled" },
  TxnModeWriteWithSharedBuffer: {
    default: true,
    stage: "BETA",
    formerFlag: "experimental-txn-mode-write-with-shared-buffer",
  },
  LeaseCheckpoint: { default: false, stage: "ALPHA", formerFlag: "experimental-enable-lease-checkpoint" },
  LeaseCheckpointPersist: {
    default: false,
    stage: "ALPHA",
    formerFlag: "experimental-enable-lease-checkpoint-persist",
  },
  SetMemberLocalAddr: { default: false, stage: "ALPHA" },
} as const satisfies Record<string, Gate>;

export type GateName = keyof typeof gates;
export type GateValues = Record<GateName, boolean>;

const gateNames = Object.keys(gates) as GateName[];

/**
 * Reads the value of `--feature-gates`. `AllAlpha` and `AllBeta` set every gate of a stage; a gate named itself wins.
 *
 * @throws {Error} with etcd's text.
 */
export function parseFeatureGates(text: string): Partial<GateValues> {
  const explicit: Partial<GateValues> = {};
  const stages: Partial<GateValues> = {};
  for (const item of text.split(",")) {
    if (item.trim() === "") continue;
    const equals = item.indexOf("=");
    const name = (equals < 0 ? item : item.slice(0, equals)).trim();
    if (equals < 0) throw new Error(`missing bool value for ${name}`);
    const value = item.slice(equals + 1).trim();
    const on = parseBool(name, value);
    if (name === "AllAlpha" || name === "AllBeta") {
      const stage = name === "AllAlpha" ? "ALPHA" : "BETA";
      for (const gate of gateNames) if (gates[gate].stage === stage) stages[gate] = on;
    } else if (Object.hasOwn(gates, name)) {
      explicit[name as GateName] = on;
    } else {
      throw new Error(`unrecognized feature gate: ${name}`);
    }
  }
  return { ...stages, ...explicit };
}

function parseBool(name: string, value: string): boolean {
  try {
    return bool.parse(value);
  } catch {
    throw new Error(
      `invalid value of ${name}=${value}, err: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax`,
    );
  }
}

/**
 * The gates after `--feature-gates` and the 3.5 flags that were given.
 *
 * @param given - flags that were set, by name, with their values.
 * @throws {Error} when a gate and its 3.5 flag are both set, or a gate needs another.
 */
export function resolveGates(featureGates: string, given: ReadonlyMap<string, unknown>): GateValues {
  const values = Object.fromEntries(gateNames.map((name) => [name, gates[name].default])) as GateValues;
  const chosen = parseFeatureGates(featureGates);
  Object.assign(values, chosen);
  for (const name of gateNames) {
    const gate: Gate = gates[name];
    if (gate.formerFlag === undefined || !given.has(gate.formerFlag)) continue;
    const flagValue = given.get(gate.formerFlag) === true;
    if (featureGates.includes(name)) {
      const setting = `--feature-gates=${name}=${values[name]}`;
      throw new Error(
        `cannot specify both flags: --${gate.formerFlag}=${flagValue} and ${setting} at the same time, please just use ${setting}`,
      );
    }
    values[name] = flagValue;
  }
  if (values.LeaseCheckpointPersist && !values.LeaseCheckpoint) {
    throw new Error("enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint");
  }
  return values;
}
