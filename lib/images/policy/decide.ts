import {
  isSlowToGain,
  type LineFigures,
  type StartCosts,
  startCosts,
  type StartSizes,
} from "./cost_model.ts";
import {
  type ChosenPolicy,
  type PolicyFacts,
  policyOf,
  type PolicyRules,
} from "./policy.ts";

/** How an image is taken, and why. */
export interface Decided extends ChosenPolicy {
  /** What came of it; `as configured`: it has no index, and other keys say what becomes of such images. */
  readonly taken: "lazily" | "whole" | "as configured";
  /** Of `auto`: what it was decided by. */
  readonly costs: StartCosts | null;
}

/** Decides how an image is taken. */
export function decide(
  rules: PolicyRules,
  facts: Omit<PolicyFacts, "sizeBytes"> & StartSizes,
  line: LineFigures,
): Decided {
  const sizeBytes = facts.layers.reduce((sum, size) => sum + size, 0);
  const chosen = policyOf(rules, { ...facts, sizeBytes });
  const costs = chosen.policy === "auto" ? startCosts(facts, line) : null;
  const isWhole = rules.mayBeWhole &&
    (chosen.policy === "eager" || costs !== null && isSlowToGain(costs));
  return {
    ...chosen,
    taken: isWhole
      ? "whole"
      : facts.ztocs === null
      ? "as configured"
      : "lazily",
    costs,
  };
}
