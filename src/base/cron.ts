/**
 * Cron expressions, in UTC: five fields, or one of the usual names for them.
 *
 *     minute 0-59 | hour 0-23 | day of month 1-31 | month 1-12, JAN-DEC | day of week 0-7, SUN-SAT (0 and 7: Sunday)
 *
 * A field is a list of `*`, `a`, `a-b`, each with an optional step `/n` (`a/n` is `a-max/n`). As in Vixie cron, when both
 * days are restricted, one of them is enough. UTC has no hour that is missing or comes twice, so no run is lost or
 * doubled.
 */

export interface CronSchedule {
  /** The first time after `afterMs`, in milliseconds since 1970; undefined when there is none (30 February). */
  next(afterMs: number): number | undefined;
}

const named: Readonly<Record<string, string>> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};

interface Field {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** Words for `min`, `min + 1`, and so on. */
  readonly words: readonly string[];
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const fields = [
  { name: "minute", min: 0, max: 59, words: [] },
  { name: "hour", min: 0, max: 23, words: [] },
  { name: "day of month", min: 1, max: 31, words: [] },
  { name: "month", min: 1, max: 12, words: months },
  { name: "day of week", min: 0, max: 7, words: weekdays },
] as const satisfies readonly Field[];

const dayMs = 86_400_000;
/** 29 February comes again after eight years at the latest (1896 to 1904). */
const daysAheadMax = 366 * 9;

/** @throws {Error} that names the field and what is wrong in it. */
export function parseCron(text: string): CronSchedule {
  const trimmed = text.trim().toLowerCase();
  const parts = (Object.hasOwn(named, trimmed) ? named[trimmed] : trimmed).split(/\s+/);
  if (trimmed.startsWith("@") && parts.length === 1) {
    throw new Error(`${JSON.stringify(text)} is none of ${Object.keys(named).join(", ")}`);
  }
  if (parts.length !== fields.length) {
    throw new Error(`${JSON.stringify(text)} has ${parts.length} fields, not 5: minute hour day month weekday`);
  }
  const [minutes, hours, days, monthSet, weekdaySet] = fields.map((field, index) => valuesOf(field, parts[index]));
  if (weekdaySet.has(7)) weekdaySet.add(0);
  const anyDay = parts[2].startsWith("*");
  const anyWeekday = parts[4].startsWith("*");
  const matchesDay = (date: Date): boolean => {
    if (!monthSet.has(date.getUTCMonth() + 1)) return false;
    const isDay = days.has(date.getUTCDate());
    const isWeekday = weekdaySet.has(date.getUTCDay());
    return anyDay || anyWeekday ? isDay && isWeekday : isDay || isWeekday;
  };
  const timesOfDay = [...hours].flatMap((hour) => [...minutes].map((minute) => (hour * 60 + minute) * 60_000));
  timesOfDay.sort((one, other) => one - other);
  return {
    next(afterMs) {
      const today = Math.floor(afterMs / dayMs) * dayMs;
      for (let ahead = 0; ahead < daysAheadMax; ahead++) {
        const day = today + ahead * dayMs;
        if (!matchesDay(new Date(day))) continue;
        const time = timesOfDay.find((each) => day + each > afterMs);
        if (time !== undefined) return day + time;
      }
      return undefined;
    },
  };
}

function valuesOf(field: Field, text: string): Set<number> {
  const values = new Set<number>();
  for (const item of text.split(",")) {
    const [range, stepText, more] = item.split("/");
    const step = stepText === undefined ? 1 : Number(stepText);
    if (more !== undefined || !/^\d*$/.test(stepText ?? "1") || step < 1) throw wrong(field, item);
    const [first, last] = bounds(field, range, stepText !== undefined, item);
    for (let value = first; value <= last; value += step) values.add(value);
  }
  return values;
}

function bounds(field: Field, range: string, hasStep: boolean, item: string): [first: number, last: number] {
  if (range === "*") return [field.min, field.name === "day of week" ? 6 : field.max];
  const [from, to, more] = range.split("-");
  const first = valueOf(field, from);
  const last = to === undefined ? (hasStep ? field.max : first) : valueOf(field, to);
  if (first === undefined || last === undefined || more !== undefined || first > last) throw wrong(field, item);
  return [first, last];
}

function valueOf(field: Field, text: string): number | undefined {
  const word = field.words.indexOf(text);
  if (word >= 0) return field.min + word;
  const value = Number(text);
  return /^\d{1,2}$/.test(text) && value >= field.min && value <= field.max ? value : undefined;
}

function wrong({ name, min, max }: Field, item: string): Error {
  return new Error(
    `${JSON.stringify(item)} cannot be the ${name}: that is ${min}-${max}, with lists, ranges and steps`,
  );
}
