/**
 * How urgent a span is. `demand`: a reader waits now. `prefetch`: a reader is expected (read-ahead
 * or a recorded order). `background`: nobody waits.
 */
export type SpanClass = "demand" | "prefetch" | "background";

/** The most urgent class first. */
export const SPAN_CLASSES: readonly SpanClass[] = [
  "demand",
  "prefetch",
  "background",
];

/** Whether `a` is served before `b`. */
export function isBefore(a: SpanClass, b: SpanClass): boolean {
  return SPAN_CLASSES.indexOf(a) < SPAN_CLASSES.indexOf(b);
}
