/**
 * Load orders of images: recording what a start reads, making one order of several recordings, and
 * publishing it beside the image. `docs/load-order.md` says what an order is.
 *
 * It may ask the running daemon at its control socket, run `ctr`, and use registries. What a daemon does
 * with an order is not known here.
 * @module
 */
export { carryOver } from "./carry_over.ts";
export { recordReads } from "./record_reads.ts";
export {
  type LabelledSnapshot,
  StartRecorder,
  type StartRecorderOptions,
} from "./start_recorder.ts";
export { RecordingsFolder } from "./recordings_folder.ts";
export {
  type RecordRequest,
  type RecordResult,
  recordStart,
} from "./record_start.ts";
export type { ReadySigns } from "./until.ts";
export {
  type FileClass,
  type OrderSummary,
  summaryOf,
  type TouchedFile,
  type TouchedGroup,
} from "./summary.ts";
export { timelineSvg } from "./timeline.ts";
export {
  DEFAULT_SUPPORT,
  type MergeOptions,
  mergeRecordings,
} from "./merge.ts";
export {
  type MadeOrder,
  makeOrder,
  type MakeOrderRequest,
  putOrder,
  type SharedOrder,
} from "./make.ts";
export {
  type ListedOrder,
  listOrders,
  openOrderedImage,
  type OrderedImage,
  platformOf,
  readOrder,
  removeOrder,
  ztocsOfImage,
} from "./image_orders.ts";
