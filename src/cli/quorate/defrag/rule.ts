/**
 * When to defragment, as an expression: the language of the tool etcd-defrag, so that its rules can be used as they are.
 *
 *     dbQuotaUsage > 0.8 || dbSizeFree > 200*1024*1024
 *
 *     or      = and { "||" and }                      operators and their order as in Go
 *     and     = compare { "&&" compare }
 *     compare = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
 *     sum     = product { ("+" | "-") product }
 *     product = unary { ("*" | "/" | "%") unary }
 *     unary   = { "!" | "-" } ( number | variable | "true" | "false" | "(" or ")" )
 *
 * Numbers without a point are whole, and `7 / 2` of such is 3; sizes and the usage are not. A rule must be true or false, not a number; that is found before it is used.
 */

/** What a rule may ask of a member; sizes in bytes. */
export interface RuleVariables {
  readonly dbSize: number;
  readonly dbSizeInUse: number;
  /** `dbSize - dbSizeInUse`. */
  readonly dbSizeFree: number;
  readonly dbQuota: number;
  /** `dbSize / dbQuota`. */
  readonly dbQuotaUsage: number;
}

export type Rule = (variables: RuleVariables) => boolean;

type Value = number | boolean;
interface Expression {
  readonly type: "number" | "boolean";
  /** Made of whole numbers alone. */
  readonly isWhole?: boolean;
  readonly evaluate: (variables: RuleVariables) => Value;
}

const variableNames: readonly (keyof RuleVariables)[] = [
  "dbSize",
  "dbSizeInUse",
  "dbSizeFree",
  "dbQuota",
  "dbQuotaUsage",
];

/** Weakest first; all of a level associate to the left. */
const levels: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["==", "!=", "<", "<=", ">", ">="],
  ["+", "-"],
  ["*", "/", "%"],
];

/** Deepest nesting of parentheses and signs. */
const depthMax = 100;

/** @throws {Error} saying what is wrong with the rule. */
export function parseRule(text: string): Rule {
  const parser = new Parser(text);
  const expression = parser.parse();
  if (expression.type !== "boolean") throw new Error(`the rule ${JSON.stringify(text)} is a number, not true or false`);
  return (variables) => expression.evaluate(variables) === true;
}

class Parser {
  readonly #tokens: readonly string[];
  #position = 0;
  #depth = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  parse(): Expression {
    const expression = this.#binary(0);
    const rest = this.#tokens[this.#position];
    if (rest !== undefined) throw new Error(`unexpected ${JSON.stringify(rest)} in the rule`);
    return expression;
  }

  #binary(level: number): Expression {
    if (level === levels.length) return this.#unary();
    let left = this.#binary(level + 1);
    for (;;) {
      const operator = this.#tokens[this.#position];
      if (operator === undefined || !levels[level].includes(operator)) return left;
      this.#position++;
      left = combine(operator, left, this.#binary(level + 1));
    }
  }

  #unary(): Expression {
    if (++this.#depth > depthMax) throw new Error(`the rule is nested deeper than ${depthMax}`);
    try {
      const token = this.#tokens[this.#position++];
      if (token === "!") {
        const operand = expectType(this.#unary(), "boolean", "!");
        return { type: "boolean", evaluate: (variables) => operand.evaluate(variables) !== true };
      }
      if (token === "-") {
        const operand = expectType(this.#unary(), "number", "-");
        return { ...operand, evaluate: (variables) => -Number(operand.evaluate(variables)) };
      }
      if (token === "(") {
        const inner = this.#binary(0);
        if (this.#tokens[this.#position++] !== ")") throw new Error("a closing parenthesis is missing in the rule");
        return inner;
      }
      return operandOf(token);
    } finally {
      this.#depth--;
    }
  }
}

function tokensOf(text: string): string[] {
  const tokens: string[] = [];
  const pattern = /\s*([0-9]+(?:\.[0-9]+)?|[A-Za-z_][A-Za-z0-9_]*|\|\||&&|[=!<>]=|[<>!()+\-*/%])/y;
  while (pattern.lastIndex < text.trimEnd().length) {
    const start = pattern.lastIndex;
    const token = pattern.exec(text)?.[1];
    if (token === undefined) throw new Error(`the rule cannot be read from ${JSON.stringify(text.slice(start))} on`);
    tokens.push(token);
  }
  return tokens;
}

function operandOf(token: string | undefined): Expression {
  if (token === undefined) throw new Error("the rule ends too early");
  if (/^[0-9]/.test(token)) {
    const number = Number(token);
    return { type: "number", isWhole: !token.includes("."), evaluate: () => number };
  }
  if (token === "true" || token === "false") return { type: "boolean", evaluate: () => token === "true" };
  const name = variableNames.find((known) => known === token);
  if (name === undefined) {
    throw new Error(`unknown name ${JSON.stringify(token)} in the rule; known are ${variableNames.join(", ")}`);
  }
  return { type: "number", evaluate: (variables) => variables[name] };
}

function expectType(expression: Expression, type: Expression["type"], operator: string): Expression {
  if (expression.type === type) return expression;
  throw new Error(`${JSON.stringify(operator)} in the rule needs a ${type}, and stands at a ${expression.type}`);
}

function combine(operator: string, left: Expression, right: Expression): Expression {
  if (operator === "||" || operator === "&&") {
    const [first, second] = [left, right].map((side) => expectType(side, "boolean", operator));
    return {
      type: "boolean",
      evaluate: (variables) =>
        operator === "||"
          ? first.evaluate(variables) === true || second.evaluate(variables) === true
          : first.evaluate(variables) === true && second.evaluate(variables) === true,
    };
  }
  if (operator === "==" || operator === "!=") {
    expectType(right, left.type, operator);
    const wanted = operator === "==";
    return {
      type: "boolean",
      evaluate: (variables) => (left.evaluate(variables) === right.evaluate(variables)) === wanted,
    };
  }
  const [a, b] = [left, right].map((side) => expectType(side, "number", operator));
  const isWhole = a.isWhole === true && b.isWhole === true;
  const compute = isWhole && operator === "/" ? divideWhole : operations[operator];
  const evaluate = (variables: RuleVariables): Value =>
    compute(Number(a.evaluate(variables)), Number(b.evaluate(variables)));
  return ["<", "<=", ">", ">="].includes(operator)
    ? { type: "boolean", evaluate }
    : { type: "number", isWhole, evaluate };
}

function divideWhole(a: number, b: number): number {
  if (b === 0) throw new Error("the rule divides by zero");
  return Math.trunc(a / b);
}

const operations: Readonly<Record<string, (a: number, b: number) => Value>> = {
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "%": (a, b) => a % b,
};
