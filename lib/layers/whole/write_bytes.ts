/**
 * Bytes that are written at a time. For larger writes the page cache takes larger pages, which are new ones: to fill
 * those takes up to four times as long.
 */
export const WRITE_BYTES = 256 * 1024;
