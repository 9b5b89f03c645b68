/** The span's bytes are not in the data file. The value of fresh memory. */
export const MISSING = 0;
/** The span's bytes are in the data file: readers copy them without asking. */
export const PRESENT = 1;
/** The span's bytes are in the data file, but the next reader still asks the main isolate. */
export const WATCHED = 2;
