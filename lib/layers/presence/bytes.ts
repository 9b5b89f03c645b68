/** The span's bytes are not in the data file. The value of fresh memory. */
export const MISSING = 0;
/** The span's bytes are in the data file: readers copy them without asking. */
export const PRESENT = 1;
/** The span's bytes are in the data file, but the next reader still asks the main isolate. */
export const WATCHED = 2;
/** The span was in the data file when this process began; a reader asks the main isolate, which compares it first. */
export const UNCHECKED = 3;
