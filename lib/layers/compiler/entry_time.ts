import { parseModTime } from "../../formats/ztoc/mod.ts";

/** The last time that Go can express in nanoseconds since 1970: 11 April 2262. */
const LAST_SECOND = 9_223_372_036;
const LAST_NANOS = 854_775_807;

/**
 * Parses times of entries as unpacking applies them. Caches the last one: neighbours often have the
 * same.
 */
export class EntryTime {
  seconds = 0;
  nanos = 0;
  #text = "";

  /** Parses a ztoc's time. As in containerd, times before 1970 and after 2262 become 1970. */
  read(text: string): void {
    if (text === this.#text) return;
    const { seconds, nanos } = parseModTime(text);
    const late = seconds > LAST_SECOND ||
      (seconds === LAST_SECOND && nanos > LAST_NANOS);
    const kept = seconds >= 0 && !late;
    this.seconds = kept ? seconds : 0;
    this.nanos = kept ? nanos : 0;
    this.#text = text;
  }
}
