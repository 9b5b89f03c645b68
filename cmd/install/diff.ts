/** The difference between two texts, line by line, for people. @module */

/** Longer files are shown as taken away and put there. */
const MOST_LINES = 2000;
const AROUND = 2;

type Row = readonly [sign: " " | "-" | "+", line: string];

/** `--- path` and the lines that go and come, with two around them. Empty where nothing differs. */
export function diffOf(
  path: string,
  before: string | null,
  after: string | null,
): string {
  if (before === after) return "";
  const rows = rowsOf(linesOf(before), linesOf(after));
  const shown = rows.map((_, at) =>
    rows.slice(Math.max(0, at - AROUND), at + AROUND + 1)
      .some(([sign]) => sign !== " ")
  );
  const out: string[] = [
    `--- ${before === null ? "/dev/null" : path}`,
    `+++ ${after === null ? "/dev/null" : path}`,
  ];
  rows.forEach(([sign, line], at) => {
    if (shown[at]) out.push(`${sign}${line}`);
    else if (shown[at + 1]) out.push("@@");
  });
  return out.join("\n");
}

function linesOf(text: string | null): string[] {
  return text === null || text === ""
    ? []
    : text.replace(/\n$/, "").split("\n");
}

/** The longest common lines stay. */
function rowsOf(a: readonly string[], b: readonly string[]): Row[] {
  const gone = (lines: readonly string[]) => lines.map((it): Row => ["-", it]);
  const come = (lines: readonly string[]) => lines.map((it): Row => ["+", it]);
  if (a.length > MOST_LINES || b.length > MOST_LINES) {
    return [...gone(a), ...come(b)];
  }
  const width = b.length + 1;
  const common = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      common[i * width + j] = a[i] === b[j]
        ? common[(i + 1) * width + j + 1]! + 1
        : Math.max(common[(i + 1) * width + j]!, common[i * width + j + 1]!);
    }
  }
  const rows: Row[] = [];
  let [i, j] = [0, 0];
  while (i < a.length && j < b.length) {
    if (a[i] === b[j]) {
      rows.push([" ", a[i]!]);
      [i, j] = [i + 1, j + 1];
    } else if (common[(i + 1) * width + j]! >= common[i * width + j + 1]!) {
      rows.push(["-", a[i++]!]);
    } else {
      rows.push(["+", b[j++]!]);
    }
  }
  return [...rows, ...gone(a.slice(i)), ...come(b.slice(j))];
}
