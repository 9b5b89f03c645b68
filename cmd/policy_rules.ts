/** What the configuration says of how single images are taken. @module */
import { type Config, sizeBytes } from "../lib/config/mod.ts";
import type { PolicyRules } from "../lib/images/policy/mod.ts";

/** What the configuration says of single images; null: nothing. @param mayBeWhole whether any may be taken whole. */
export function policyRules(
  { policies, labels, small_images }: Config["eager"],
  { mayBeWhole }: { readonly mayBeWhole: boolean },
): PolicyRules | null {
  const patterns = Object.entries(policies);
  const smallBytes = sizeBytes(small_images);
  return patterns.length + labels.length + smallBytes === 0
    ? null
    : { patterns, labels, smallBytes, mayBeWhole };
}
