/** What containerd did and when, out of its log at level debug. @module */

const TIME = /^time="([^"]+?)(\.\d+)?Z"/;

/**
 * When a log first has a text.
 * @param log lines of containerd.
 * @returns milliseconds since 1970, with fractions; null when it does not have it.
 */
export function timeInLog(log: string, text: string): number | null {
  const line = log.split("\n").find((line) => line.includes(text));
  const [, seconds, fraction = "0"] = TIME.exec(line ?? "") ?? [];
  if (seconds === undefined) return null;
  return Date.parse(`${seconds}Z`) + Number(fraction) * 1000;
}
