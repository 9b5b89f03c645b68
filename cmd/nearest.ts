/** What was meant by a mistyped word. @module */
import { closest, distance } from "fastest-levenshtein";

/**
 * The known word that is nearest to one that is not known; null where none is near: more than two letters,
 * or than a third of the word, would have to change.
 */
function nearest(
  word: string,
  known: readonly string[],
): string | null {
  if (known.length === 0) return null;
  const near = closest(word, known);
  const most = Math.min(2, Math.ceil(word.length / 3));
  return distance(word, near) <= most ? near : null;
}

/** `; did you mean "status"?`, or nothing where no known word is near. */
export function didYouMean(word: string, known: readonly string[]): string {
  const near = nearest(word, known);
  return near === null ? "" : `; did you mean "${near}"?`;
}
