/** How a daemon with some configuration would take an image. @module */
import { availableParallelism } from "node:os";
import { loadConfig } from "../lib/config/mod.ts";
import { decide, type Decided } from "../lib/images/policy/mod.ts";
import type { InspectedImage } from "../lib/indexes/indexing/mod.ts";
import type { Image } from "../lib/remote/image/mod.ts";
import type { Repository } from "../lib/remote/registry/mod.ts";
import { policyRules } from "./policy_rules.ts";

/**
 * How it would take it, as far as the image and its registry tell: a snapshot's label may say something else, and the
 * daemon measures its line.
 * @returns null where the configuration says nothing of single images.
 * @throws ConfigError, and what reading the image's configuration throws
 */
export async function inspectedPolicy(
  path: string,
  repository: Repository,
  image: Image,
  { layers, index }: InspectedImage,
): Promise<Decided | null> {
  const rules = policyRules(loadConfig(path).config.eager, {
    mayBeWhole: true,
  });
  if (rules === null) return null;
  const { policy, tookMs } = await image.config();
  return decide(
    rules,
    {
      repository,
      snapshotLabel: null,
      imageLabel: policy,
      layers: layers.map(({ sizeBytes }) => sizeBytes),
      ztocs: index === null
        ? null
        : layers.reduce((sum, { ztoc }) => sum + (ztoc?.sizeBytes ?? 0), 0),
    },
    { roundTripMs: tookMs, bytesPerMs: 0, cores: availableParallelism() },
  );
}
