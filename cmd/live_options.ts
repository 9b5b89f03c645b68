/** Options of images and layers that follow the configuration as it is reloaded. @module */
import type {
  DiscoveryOptions,
  ProviderOptions,
} from "../lib/images/lazy/mod.ts";
import type { LiveConfig } from "./live_config.ts";

/** How images are found and their layers kept: each value is read from the configuration when it is needed. */
export function liveOptions(
  live: LiveConfig,
): { discovery: DiscoveryOptions; provider: ProviderOptions } {
  const now = () => live.current;
  const { max_concurrency, prefetch } = now();
  return {
    discovery: {
      maxOpening: max_concurrency < 0 ? Infinity : max_concurrency,
      get v1() {
        return now().pull_modes.soci_v1.enable;
      },
      get v2() {
        return now().pull_modes.soci_v2.enable;
      },
      get trust() {
        return now().trust;
      },
      get timeoutMs() {
        return now().mount_timeout_sec * 1000;
      },
      get minLayerBytes() {
        return now().snapshotter.min_layer_size;
      },
    },
    provider: {
      background: {
        get enabled() {
          return !now().background_fetch.disable;
        },
        get delayMs() {
          return now().background_fetch.silence_period_msec;
        },
        get maxQueue() {
          return now().background_fetch.max_queue_size;
        },
        get dropPolicy() {
          return now().background_fetch.drop_policy;
        },
      },
      prefetch: {
        enabled: prefetch.enable,
        maxLayers: prefetch.max_concurrency,
      },
      get removedLayers() {
        return now().cache.keep_removed ? "kept" : "discarded";
      },
    },
  };
}
