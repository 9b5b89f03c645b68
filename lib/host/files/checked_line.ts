/**
 * Small state files: a line of text that shows by itself whether it is whole.
 * @module
 */
import { sha256 } from "../../formats/oci/mod.ts";

/** A text and its digest, as one line. @param text without a line break at its end. */
export function checkedLine(text: string): string {
  return `${text} ${sha256(new TextEncoder().encode(text))}\n`;
}

/** The text of such a line; null of any other: it is torn or was changed. */
export function textOfLine(line: string): string | null {
  const text = line.slice(0, line.lastIndexOf(" "));
  return line === checkedLine(text) ? text : null;
}
