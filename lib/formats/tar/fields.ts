/**
 * Field syntax of tar headers, as Go's `archive/tar` reads it: it decides what the existing tools
 * accept. Every parser gives null for text that is no value of its kind.
 * @module
 */

const EMPTY = new Uint8Array(0);

/** The bytes before the first NUL. A copy: the block is reused. */
export function cString(field: Uint8Array): Uint8Array {
  const end = field.indexOf(0);
  if (end === 0) return EMPTY; // most fields of most entries
  // Not slice(): that of a Node Buffer is a view.
  return new Uint8Array(field.subarray(0, end < 0 ? field.length : end));
}

const isPadding = (byte: number): boolean => byte === 0 || byte === 0x20;

/** Octal digits with NULs and spaces around; nothing at all is 0. */
export function octal(field: Uint8Array): number | null {
  let start = 0;
  let end = field.length;
  while (start < end && isPadding(field[start]!)) start++;
  while (end > start && isPadding(field[end - 1]!)) end--;
  let value = 0;
  for (let i = start; i < end; i++) {
    const byte = field[i]!;
    if (byte === 0 && i > start) break; // a NUL inside ends the text
    const digit = byte - 0x30;
    if (digit < 0 || digit > 7) return null;
    value = value * 8 + digit;
  }
  return Number.isSafeInteger(value) ? value : null;
}

/** Octal, or base-256: the first bit set, then a big-endian two's complement number. */
export function numeric(field: Uint8Array): number | null {
  const first = field[0]!;
  if ((first & 0x80) === 0) return octal(field);
  const invert = (first & 0x40) === 0 ? 0 : 0xff;
  let value = (first ^ invert) & 0x7f;
  for (let i = 1; i < field.length; i++) {
    value = value * 256 + (field[i]! ^ invert);
    if (value > Number.MAX_SAFE_INTEGER) return null;
  }
  return invert === 0 ? value : -value - 1;
}

/** A decimal number with an optional sign (Go's ParseInt, base 10), within 2^53. */
export function decimal(text: string): number | null {
  if (!/^[+-]?[0-9]+$/.test(text)) return null;
  const value = Number(text);
  return Number.isSafeInteger(value) ? value + 0 : null;
}

/** `seconds[.fraction]` of PAX, maybe negative; digits after the ninth are dropped. */
export function paxTime(
  text: string,
): { seconds: number; nanos: number } | null {
  const dot = text.indexOf(".");
  const whole = dot < 0 ? text : text.slice(0, dot);
  const fraction = dot < 0 ? "" : text.slice(dot + 1);
  const seconds = decimal(whole);
  if (seconds === null || !/^[0-9]*$/.test(fraction)) return null;
  const nanos = Number(fraction.slice(0, 9).padEnd(9, "0"));
  return whole.startsWith("-") && nanos > 0
    ? { seconds: seconds - 1, nanos: 1e9 - nanos }
    : { seconds, nanos };
}
