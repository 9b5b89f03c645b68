import { type ImagePolicy, isImagePolicy } from "../../remote/image/mod.ts";
import type { Repository } from "../../remote/registry/mod.ts";
import { isNamed } from "./trust.ts";

/** What said so. */
export type PolicySource =
  | "pod annotation"
  | "snapshot label"
  | "image label"
  | "pattern"
  | "size"
  | "default";

/** What the configuration says. */
export interface PolicyRules {
  /** From patterns of `host/repository`; the first that fits counts. */
  readonly patterns: readonly (readonly [pattern: string, ImagePolicy])[];
  /** Images whose labels are heard, patterns. */
  readonly labels: readonly string[];
  /** Images of no more compressed bytes are `eager`; 0: none. */
  readonly smallBytes: number;
  /** Whether any image may be taken whole: else all have their index used. */
  readonly mayBeWhole: boolean;
}

/** What is known of an image. */
export interface PolicyFacts {
  /** Where it is. */
  readonly repository: Repository;
  /** Of the pod that it is pulled for. Default: none. */
  readonly podAnnotation?: string | null;
  /** Of its snapshot. */
  readonly snapshotLabel: string | null;
  /** Of its configuration. */
  readonly imageLabel: string | null;
  /** Compressed bytes of all its layers. */
  readonly sizeBytes: number;
}

/** A policy, and what said so. */
export interface ChosenPolicy {
  /** How the image is to be taken. */
  readonly policy: ImagePolicy;
  /** What said so. */
  readonly from: PolicySource;
}

/** The policy of an image: what its labels say, where they are heard; else the first pattern that fits; else its size. */
export function policyOf(rules: PolicyRules, facts: PolicyFacts): ChosenPolicy {
  const { repository, podAnnotation, snapshotLabel, imageLabel } = facts;
  if (isNamed(repository, rules.labels)) {
    if (isImagePolicy(podAnnotation)) {
      return { policy: podAnnotation, from: "pod annotation" };
    }
    if (isImagePolicy(snapshotLabel)) {
      return { policy: snapshotLabel, from: "snapshot label" };
    }
    if (isImagePolicy(imageLabel)) {
      return { policy: imageLabel, from: "image label" };
    }
  }
  const found = rules.patterns.find(([pattern]) =>
    isNamed(repository, [pattern])
  );
  if (found !== undefined) return { policy: found[1], from: "pattern" };
  return rules.smallBytes > 0 && facts.sizeBytes <= rules.smallBytes
    ? { policy: "eager", from: "size" }
    : { policy: "lazy", from: "default" };
}
