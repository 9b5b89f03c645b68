/**
 * Images served lazily: which layers are served, under which slots.
 *
 * A *slot* is the small durable number of one layer served by one ztoc: the name of its directory
 * under the FUSE mount and the high half of its nodeids.
 * @module
 */
export {
  type SlotRecord,
  SlotsExhaustedError,
  SlotTableStore,
} from "./slots.ts";
