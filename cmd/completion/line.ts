/** What completion knows of the command line. @module */

/** `["-p", "--platform", "OS/ARCH", "this platform", ""]`: short, long, value, what it does, what the value may be:
 * `files`, or words with spaces between. Empty where there is none. */
export type CompletedFlag = readonly [
  short: string,
  long: string,
  value: string,
  about: string,
  values: string,
];

/** A command. */
export interface CompletedLine {
  /** `index list`. */
  readonly words: string;
  /** Its last word, and other words for that. */
  readonly names: readonly string[];
  readonly summary: string;
  /** What its argument may be; empty: a file, or what nobody can guess. */
  readonly arguments: readonly string[];
  readonly flags: readonly CompletedFlag[];
}

/** A word that is followed by another one. */
export interface CompletedGroup {
  readonly words: string;
  readonly summary: string;
}

/** The word before the last; empty for a command of one word. */
export function groupOf({ words }: CompletedLine): string {
  return words.includes(" ") ? words.slice(0, words.indexOf(" ")) : "";
}

/** The words that may follow a word, with what they do. @param before empty: the first ones */
export function wordsAfter(
  before: string,
  lines: readonly CompletedLine[],
  groups: readonly CompletedGroup[],
): readonly (readonly [name: string, summary: string])[] {
  const own = lines.filter((line) => groupOf(line) === before)
    .map(({ names, summary }) => [names[0]!, summary] as const);
  if (before !== "") return own;
  return [...own, ...groups.map((it) => [it.words, it.summary] as const)];
}
