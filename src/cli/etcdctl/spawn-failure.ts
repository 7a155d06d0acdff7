/** Go's words for a program that could not be run or did not end well. */

/** @param program - as given; one with a slash is not looked for in PATH. */
export function startFailure(program: string): string {
  if (program.includes("/")) return `fork/exec ${program}: no such file or directory`;
  return `exec: ${JSON.stringify(program)}: executable file not found in $PATH`;
}

export function endFailure(code: number | null, signal: NodeJS.Signals | null): string {
  return code === null ? `signal: ${signal}` : `exit status ${code}`;
}
