/**
 * How urgent a span is. `demand`: a reader waits now. `expected`: a recorded order says that a reader comes.
 * `prefetch`: a reader may come (read-ahead). `background`: nobody waits.
 */
export type SpanClass = "demand" | "expected" | "prefetch" | "background";

/** The most urgent class first. */
export const SPAN_CLASSES: readonly SpanClass[] = [
  "demand",
  "expected",
  "prefetch",
  "background",
];

/** Those of what is fetched ahead of readers. */
export const AHEAD: readonly SpanClass[] = ["expected", "prefetch"];

/** Those of what a reader waits for, or will. */
export const URGENT: readonly SpanClass[] = ["demand", ...AHEAD];

/** Whether `a` is served before `b`. */
export function isBefore(a: SpanClass, b: SpanClass): boolean {
  return SPAN_CLASSES.indexOf(a) < SPAN_CLASSES.indexOf(b);
}
