/** `help [command]`, the same for every program. */
import { findCommand, type Command, type CommandPath, type Program } from "./command.ts";
import { helpText } from "./usage.ts";

/**
 * @param name - of the program.
 * @param program - asked when the command runs, as the command is part of the program's tree.
 */
export function createHelpCommand(name: string, program: () => Program): Command {
  return {
    name: "help",
    synopsis: "[command]",
    summary: "Help about any command",
    description: `Help provides help for any command in the application.
Simply type ${name} help [path to command] for full details.`,
    run({ args, terminal }) {
      const { root } = program();
      const { path, rest } = findCommand(root, args);
      const isUnknown = path.length === 1 && rest.length > 0;
      if (isUnknown) {
        terminal.error.write(`Unknown help topic [${rest.map((word) => `\`${word}\``).join(" ")}]\n`);
      }
      const shown: CommandPath = isUnknown ? [root] : path;
      // cobra adds the flag when a command is run or asked about, which has not happened to the root then.
      terminal.output.write(helpText(program(), shown, { showsHelpFlag: !isUnknown }));
    },
  };
}
