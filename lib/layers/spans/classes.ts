/** Who waits: a reader now; a reader that will come, by its own pace or a recorded order; nobody. */
export type SpanClass = "demand" | "prefetch" | "background";

/** First served first. */
export const SPAN_CLASSES: readonly SpanClass[] = [
  "demand",
  "prefetch",
  "background",
];

/** Whether `a` is served before `b`. */
export function isBefore(a: SpanClass, b: SpanClass): boolean {
  return SPAN_CLASSES.indexOf(a) < SPAN_CLASSES.indexOf(b);
}
