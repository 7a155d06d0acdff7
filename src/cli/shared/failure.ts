/**
 * How a command line ends. A command that cannot do its job throws {@link CommandFailure}; the entry point prints
 * `Error: <message>` on stderr and exits with its code. Codes are those of etcd's pkg/cobrautl.
 */
export const ExitCode = {
  Success: 0,
  /** A request failed; also unknown commands and flags. */
  Error: 1,
  /** No connection, or no authentication, at start. */
  BadConnection: 2,
  /** The text of a transaction or of an interactive watch is wrong. */
  InvalidInput: 3,
  /** A known option with a value that is not supported. */
  BadFeature: 4,
  Interrupted: 5,
  BadArguments: 128,
} as const;

export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly exitCode: number;
  /** @param message - printed after `Error: `; undefined when everything has been said on stderr already. */
  constructor(exitCode: number, message: string | undefined, options?: ErrorOptions) {
    super(message ?? "", options);
    this.exitCode = exitCode;
  }
}

/** Wrong arguments: exit code 128. */
export function badArguments(message: string): CommandFailure {
  return new CommandFailure(ExitCode.BadArguments, message);
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
