/** What a terminal is given: text, and nothing that drives it. @module */

/** A line break and a tab are text. */
const DRIVING = /(?![\n\t])\p{Cc}/gu;

/** Text with a mark in place of each character that a terminal would take for a command. */
export function printable(text: string): string {
  return text.replace(DRIVING, "\ufffd");
}

let guarded = false;

/**
 * From here on `console.log` and `console.error` print on a terminal only what is `printable`: names, annotations and
 * messages come from images and registries, whoever wrote them. Pipes and files get every byte.
 */
export function guardTerminal(): void {
  if (guarded) return;
  guarded = true;
  const streams = [["log", Deno.stdout], ["error", Deno.stderr]] as const;
  for (const [name, stream] of streams) {
    if (!stream.isTerminal()) continue;
    const print = console[name];
    console[name] = (...data: unknown[]) =>
      print(
        ...data.map((one) => typeof one === "string" ? printable(one) : one),
      );
  }
}
