/**
 * ASCII tables of etcd's tools: upper-case centred headers, right-aligned cells, a border of `+`, `-` and `|`.
 * Cells wider than 30 columns are wrapped at blanks so that the lines are as even as they can be.
 *
 * ```text
 * +--------+-----+
 * |  ID    | ... |
 * ```
 * Same layout as the table library that etcd 3.5 and 3.6 use (olekukonko/tablewriter 0.0.5).
 */
const wrapWidth = 30;

/** Cost of a line that holds one word too wide for it. */
const tooWidePenalty = 1e5;

/** @returns the whole table, each line ended by a newline. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const titles = header.map((title) => title.replaceAll("_", " ").toUpperCase());
  const cells = rows.map((row) => row.map((cell) => wrapCell(cell)));
  const widths = titles.map((title, column) =>
    Math.max(displayWidth(title), ...cells.map((row) => cellWidth(row[column]))),
  );
  const border = `+${widths.map((width) => "-".repeat(width + 2)).join("+")}+\n`;
  let text = border + tableLine(titles.map((title, column) => centre(title, widths[column]))) + border;
  for (const row of cells) {
    const height = Math.max(...row.map((lines) => lines.length));
    for (let line = 0; line < height; line++) {
      text += tableLine(row.map((lines, column) => alignRight(lines[line] ?? "", widths[column])));
    }
  }
  return text + border;
}

/** A wrapped cell is as wide as the limit, however short its lines came out. */
function cellWidth(lines: readonly string[]): number {
  return Math.max(lines.length > 1 ? wrapWidth : 0, ...lines.map((line) => displayWidth(line)));
}

function tableLine(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |\n`;
}

function centre(text: string, width: number): string {
  const gap = width - displayWidth(text);
  const left = Math.floor(gap / 2);
  return " ".repeat(left) + text + " ".repeat(gap - left);
}

function alignRight(text: string, width: number): string {
  return " ".repeat(width - displayWidth(text)) + text;
}

/** Columns on a terminal: East Asian wide characters take two, marks none. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

/** Lines of one cell. A text that fits stays as it is; otherwise the squares of the unused columns are least in sum. */
function wrapCell(text: string): string[] {
  const lines = text.split("\n");
  if (lines.every((line) => displayWidth(line) <= wrapWidth)) return lines;
  const words = text.split(/[\n ]/);
  const limit = Math.max(wrapWidth, ...words.map((word) => displayWidth(word)));
  const lineWidth = (from: number, to: number) => displayWidth(words.slice(from, to).join(" "));
  const cost: number[] = [];
  const next: number[] = [];
  for (let from = words.length - 1; from >= 0; from--) {
    cost[from] = Infinity;
    if (lineWidth(from, words.length) <= limit) {
      cost[from] = 0;
      next[from] = words.length;
      continue;
    }
    for (let to = from + 1; to < words.length; to++) {
      const width = lineWidth(from, to);
      const total = (limit - width) ** 2 + cost[to] + (width > limit ? tooWidePenalty : 0);
      if (total < cost[from]) {
        cost[from] = total;
        next[from] = to;
      }
    }
  }
  const wrapped: string[] = [];
  for (let from = 0; from < words.length; from = next[from]) wrapped.push(words.slice(from, next[from]).join(" "));
  return wrapped;
}
