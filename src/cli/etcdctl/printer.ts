/** Prints answers in the format of `--write-out`. */
import { CommandFailure, ExitCode } from "../shared/failure.ts";
import { renderTable } from "../shared/text-table.ts";
import type { Terminal } from "../shared/terminal.ts";
import type { AnswerKind, Answers } from "./answers.ts";
import { fieldForms } from "./printers/fields.ts";
import { printJson } from "./printers/json.ts";
import { Page } from "./printers/page.ts";
import { printProtobuf } from "./printers/protobuf.ts";
import { hashRows, healthRows, memberRows, statusRows, type Rows } from "./printers/rows.ts";
import { simpleForms } from "./printers/simple.ts";

const formats = ["simple", "fields", "json", "protobuf", "table"] as const;
export type OutputFormat = (typeof formats)[number];

/** The text form of one kind of answer. */
type Form<Kind extends AnswerKind> = (answer: Answers[Kind], page: Page) => void;

const tableForms: { readonly [Kind in AnswerKind]?: (answer: Answers[Kind]) => Rows } = {
  memberList: ({ response }) => memberRows(response),
  endpointHealth: ({ response }) => healthRows(response),
  endpointStatus: ({ response }) => statusRows(response),
  endpointHash: ({ response }) => hashRows(response),
};

export class Printer {
  readonly format: OutputFormat;
  readonly #page: Page;

  constructor(format: OutputFormat, page: Page) {
    this.format = format;
    this.#page = page;
  }

  /** The simple form prints pairs without their keys from now on. */
  printValuesOnly(): void {
    this.#page.valuesOnly = true;
  }

  /** @throws {CommandFailure} when the format has no form for this kind of answer. */
  print<Kind extends AnswerKind>(kind: Kind, answer: Answers[Kind]): void {
    if (!this.#tryPrint(kind, answer)) {
      throw new CommandFailure(ExitCode.BadFeature, `${this.format} not supported as output format`);
    }
  }

  #tryPrint<Kind extends AnswerKind>(kind: Kind, answer: Answers[Kind]): boolean {
    switch (this.format) {
      case "simple": {
        const form: Form<Kind> = simpleForms[kind];
        form(answer, this.#page);
        return true;
      }
      case "fields": {
        const forms: { readonly [Each in AnswerKind]?: Form<Each> } = fieldForms;
        const form: Form<Kind> | undefined = forms[kind];
        form?.(answer, this.#page);
        return form !== undefined;
      }
      case "json":
        printJson(kind, answer, this.#page);
        return true;
      case "protobuf":
        return printProtobuf(kind, answer, this.#page);
      default: {
        const rowsOf = tableForms[kind];
        if (rowsOf === undefined) return false;
        const { header, rows } = rowsOf(answer);
        this.#page.text(renderTable(header, rows));
        return true;
      }
    }
  }
}

/** @throws {CommandFailure} for a format that does not exist. */
export function createPrinter(terminal: Terminal, options: { format: string; hex: boolean }): Printer {
  const format = formats.find((name) => name === options.format);
  if (format === undefined) throw new CommandFailure(ExitCode.BadFeature, "unsupported output format");
  return new Printer(format, new Page(terminal.output, terminal.error, options.hex));
}
