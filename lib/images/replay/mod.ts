/**
 * Replay of load orders: what an image's start reads first is brought before anybody asks for it.
 *
 * An image has load orders beside its index. One is chosen by workload and platform (`choose.ts`). From the
 * first Prepare on, its plan is fetched, and then its pack streams into the layers' data files beside all
 * else (`replay.ts`, `pack_stream.ts`); no mount waits for it. Where the pack may not be used, or there is
 * none, the plan is a hint: spans are fetched in its order.
 *
 * Whose word counts: an order alone changes no byte. A pack's bytes cannot be checked before their spans
 * come. So they are used where the image's digest covers them, or where the configuration says so, and only
 * by layers of their own (`LayerPack` in `layers/serving`).
 *
 * It may ask registries and write into open layers. It must not know how an index is found, when layers are
 * opened, or what containerd asks.
 * @module
 */
export type { WorkloadWish } from "./choose.ts";
export type { OrderFigures } from "./figures.ts";
export {
  type LearnedOrders,
  NO_REPLAY,
  type ReplayedLayer,
  type ReplayOptions,
  Replays,
} from "./replays.ts";
export type { ReplayClient } from "./pack_stream.ts";
