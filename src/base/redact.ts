/** What of a command line must not be repeated in logs and on pages. */

/** Flags whose value is a secret itself, not the path of one. */
const secretFlag = /^--?discovery-password(?:=|$)/;
/** Not only those we know: some images pass `ETCD_ROOT_PASSWORD` to what is around etcd. */
const secretVariable = /PASSWORD|PASSWD|SECRET|CREDENTIAL/i;
/** `user:password@` of a URL. */
const userInfo = /(:\/\/)[^/?#@\s,]*@/g;
const hidden = "xxxxx";

/** The arguments, secrets hidden; both spellings of a flag's value, `--flag=value` and `--flag value`. */
export function redactArguments(args: readonly string[]): string[] {
  return args.map((argument, index) => {
    if (secretFlag.test(argument)) return argument.includes("=") ? argument.replace(/=.*/s, `=${hidden}`) : argument;
    const before = index === 0 ? "" : args[index - 1];
    if (secretFlag.test(before) && !before.includes("=")) return hidden;
    return redactUrls(argument);
  });
}

export function redactVariable(name: string, value: string): string {
  return secretVariable.test(name) ? hidden : redactUrls(value);
}

function redactUrls(text: string): string {
  return text.replace(userInfo, `$1${hidden}@`);
}
