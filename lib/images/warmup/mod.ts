/**
 * What a new daemon does while nobody waits: it runs the code of the first pull once or twice, so that
 * V8 has compiled it when a pull comes (docs/performance.md says what that is worth).
 *
 * It may call the daemon's own socket, use one scratch folder and ask a fake registry in memory. It must
 * not send anything to another host or touch served layers, and no other room may depend on it: it may
 * fail without harm.
 * @module
 */
export { warmUpAll, type WarmUpOptions } from "./warm_up_all.ts";
