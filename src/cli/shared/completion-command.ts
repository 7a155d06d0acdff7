/**
 * `completion SHELL` prints a script for the shell; the script asks the program itself, by its hidden command
 * `__complete`, what may stand next.
 */
import { findCommand, flagsOf, shownCommands, type Command, type Invocation, type Program } from "./command.ts";

const shells = ["bash", "zsh", "fish", "powershell"];

export function createCompletionCommand(name: string): Command {
  return {
    name: "completion",
    synopsis: "[bash|zsh|fish|powershell]",
    summary: "Generate completion script",
    description: description(name),
    bareUsageLine: true,
    checkArguments(args, path) {
      if (args.length !== 1) return `accepts 1 arg(s), received ${args.length}`;
      return shells.includes(args[0]) ? undefined : `invalid argument ${JSON.stringify(args[0])} for "${path}"`;
    },
    run({ args, terminal }) {
      terminal.output.write(scripts[args[0]](name));
    },
  };
}

/** The hidden command: `__complete WORD... PARTIAL` prints a candidate a line, with a description behind a tab. */
export function complete(program: Program, { args, terminal }: Pick<Invocation, "args" | "terminal">): void {
  const partial = args.at(-1) ?? "";
  const { path } = findCommand(program.root, args.slice(0, -1));
  const candidates: [string, string][] = partial.startsWith("-")
    ? flagsOf(path).map((flag): [string, string] => [`--${flag.name}`, flag.usage])
    : shownCommands(path[path.length - 1]).map((child): [string, string] => [child.name, child.summary]);
  for (const [word, text] of candidates) {
    if (word.startsWith(partial)) terminal.output.write(`${word}\t${text}\n`);
  }
}

const scripts: Readonly<Record<string, (name: string) => string>> = {
  bash: (name) => `# bash completion for ${name.padEnd(36)}-*- shell-script -*-
_${name}_complete() {
  local line words
  COMPREPLY=()
  # Not COMP_WORDS: bash takes --flag=host:port apart there.
  read -ra words <<< "\${COMP_LINE:0:COMP_POINT}"
  [[ "\${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && words+=("")
  while IFS= read -r line; do
    COMPREPLY+=("\${line%%$'\\t'*}")
  done < <("\${words[0]}" __complete -- "\${words[@]:1}" 2>/dev/null)
}
complete -o default -F _${name}_complete ${name}
`,
  zsh: (name) => `#compdef ${name}
compdef _${name} ${name}
_${name}() {
  local -a candidates
  local line
  while IFS= read -r line; do
    candidates+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)
  (( \${#candidates} )) && _describe '${name}' candidates || _files
}
[ "\${funcstack[1]}" = "_${name}" ] && _${name}
`,
  fish: (name) => `# fish completion for ${name}
function __${name}_complete
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c ${name} -a '(__${name}_complete)'
`,
  powershell: (name) => `# powershell completion for ${name}
Register-ArgumentCompleter -Native -CommandName '${name}' -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" })
  if ($wordToComplete -eq '') { $words += '' }
  & ${name} __complete -- @words 2>$null | ForEach-Object {
    $word, $text = $_ -split "\`t", 2
    [System.Management.Automation.CompletionResult]::new($word, $word, 'ParameterValue', $text)
  }
}
`,
};

function description(name: string): string {
  return `To load completions:

Bash:

  $ source <(${name} completion bash)

  # To load completions for each session, execute once:
  # Linux:
  $ ${name} completion bash > /etc/bash_completion.d/${name}
  # macOS:
  $ ${name} completion bash > /usr/local/etc/bash_completion.d/${name}

Zsh:

  # If shell completion is not already enabled in your environment,
  # you will need to enable it.  You can execute the following once:

  $ echo "autoload -U compinit; compinit" >> ~/.zshrc

  # To load completions for each session, execute once:
  $ ${name} completion zsh > "\${fpath[1]}/_${name}"

  # You will need to start a new shell for this setup to take effect.

fish:

  $ ${name} completion fish | source

  # To load completions for each session, execute once:
  $ ${name} completion fish > ~/.config/fish/completions/${name}.fish

PowerShell:

  PS> ${name} completion powershell | Out-String | Invoke-Expression

  # To load completions for every new session, run:
  PS> ${name} completion powershell > ${name}.ps1
  # and source this file from your PowerShell profile.
`;
}
