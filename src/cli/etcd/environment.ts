/** `ETCD_*` variables: each flag has one; it counts when the flag was not given. */
import { redactVariable } from "../../base/redact.ts";
import type { Logger } from "../../platform/logger.ts";
import { flagNames, type FlagName } from "./flags.ts";
import { parseValue } from "./parse.ts";

/** A flag and its variable are both set: etcd refuses to guess. */
export class ShadowedVariableError extends Error {
  override readonly name = "ShadowedVariableError";
  readonly variable: string;
  constructor(variable: string) {
    super(
      "conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))",
    );
    this.variable = variable;
  }
}

/** Variables of the process that are no settings: read elsewhere, not reported as unknown. */
const otherVariables = new Set(["ETCD_UNSUPPORTED_ARCH", "ETCD_VERIFY", "ETCD_CONFIG_FILE"]);

export function variableOf(flag: string): string {
  return `ETCD_${flag.toUpperCase().replaceAll("-", "_")}`;
}

/**
 * Adds the values of the environment to `given`.
 *
 * @throws {ShadowedVariableError} when a flag and its variable are both set.
 * @throws {Error} `invalid value "V" for ETCD_X: <reason>`.
 */
export function addEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  given: Map<FlagName, unknown>,
  log: Logger,
): void {
  const fromCommandLine = new Set(given.keys());
  const known = new Set(flagNames.map(variableOf));
  let failure: Error | undefined;
  if (environment["ETCD_VERSION"]) {
    log.warn("cannot set special environment variable", { key: "ETCD_VERSION", value: environment["ETCD_VERSION"] });
  }
  for (const name of flagNames) {
    const variable = variableOf(name);
    const value = variable === "ETCD_VERSION" ? undefined : environment[variable];
    if (value === undefined || value === "") continue;
    if (fromCommandLine.has(name)) throw new ShadowedVariableError(variable);
    try {
      given.set(name, parseValue(name, value));
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      failure = new Error(`invalid value ${JSON.stringify(value)} for ${variable}: ${reason}`, { cause });
      continue;
    }
    log.info("recognized and used environment variable", {
      "variable-name": variable,
      "variable-value": redactVariable(variable, value),
    });
  }
  for (const [variable, value] of Object.entries(environment)) {
    if (!variable.startsWith("ETCD_") || known.has(variable) || otherVariables.has(variable)) continue;
    log.warn("unrecognized environment variable", {
      "environment-variable": `${variable}=${redactVariable(variable, value ?? "")}`,
    });
  }
  if (failure !== undefined) throw failure;
}
