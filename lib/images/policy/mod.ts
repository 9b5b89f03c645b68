/**
 * How single images are taken: by the patterns, labels and sizes that the configuration names, and by what a start
 * costs lazily and of a whole image.
 *
 * It decides from facts that it is given. It may touch neither the machine nor a registry.
 * @module
 */
export { isNamed, type Trust } from "./trust.ts";
export {
  type ChosenPolicy,
  type PolicyFacts,
  policyOf,
  type PolicyRules,
  type PolicySource,
} from "./policy.ts";
export { decide, type Decided } from "./decide.ts";
export {
  type LineFigures,
  smallLayerBytes,
  type StartCosts,
  type StartSizes,
} from "./cost_model.ts";
