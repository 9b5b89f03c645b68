import type { TarTime } from "../tar/mod.ts";

const RFC3339 =
  /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))$/;

/** The first and last second that four digits of a year can say. */
const FIRST_SECOND = -62167219200;
const LAST_SECOND = 253402300799;

/**
 * Reads a ztoc's time.
 * @returns the epoch for text that is no time: the existing reader does not fail on it either.
 */
export function parseModTime(text: string): TarTime {
  const match = RFC3339.exec(text);
  if (match === null) return { seconds: 0, nanos: 0 };
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(
    Number,
  ) as [number, number, number, number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  const inCalendar = date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day;
  if (!inCalendar || hour > 23 || minute > 59 || second > 59) {
    return { seconds: 0, nanos: 0 };
  }
  const zone = (Number(match[9] ?? 0) * 60 + Number(match[10] ?? 0)) * 60 *
    (match[8] === "-" ? -1 : 1);
  return {
    seconds: date.getTime() / 1000 + hour * 3600 + minute * 60 + second - zone,
    nanos: Number((match[7] ?? "").padEnd(9, "0")),
  };
}

const DAY_SECONDS = 86400;
/** Files next to each other are often of one day, and a calendar date is slow to make. */
let lastDay = { day: 0, text: "1970-01-01T" };

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/**
 * Writes a time as Go's `MarshalText` does, in UTC.
 * @returns the empty string for years outside 0 to 9999.
 */
export function formatModTime({ seconds, nanos }: TarTime): string {
  if (seconds < FIRST_SECOND || seconds > LAST_SECOND) return "";
  const day = Math.floor(seconds / DAY_SECONDS);
  if (day !== lastDay.day) {
    lastDay = {
      day,
      text: new Date(day * DAY_SECONDS * 1000).toISOString().slice(0, 11),
    };
  }
  const second = seconds - day * DAY_SECONDS;
  const whole = lastDay.text + two(Math.floor(second / 3600)) + ":" +
    two(Math.floor(second / 60) % 60) + ":" + two(second % 60);
  const fraction = nanos === 0
    ? ""
    : `.${nanos.toString().padStart(9, "0").replace(/0+$/, "")}`;
  return `${whole}${fraction}Z`;
}
