/**
 * What the mount helper's process does, and what it is asked and says. `MountHelper` of `host/mounting`
 * starts it.
 *
 * Its process runs beside the daemon, so it is kept small: this room uses libc alone, and no module of
 * Node.
 * @module
 */
export {
  type HelperReply,
  type HelperRequest,
  type MountAnswer,
  serveMounts,
} from "./serve.ts";
export { type MappedFailure, type MappedRequest } from "./mapped.ts";
