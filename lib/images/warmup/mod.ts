/**
 * What a daemon does while nobody waits, after its start and each time it has returned memory, by which V8 forgets
 * what it had compiled: it runs the code of a pull a few times, so that this is compiled when a pull comes
 * (docs/performance.md says what that is worth).
 *
 * It may call the daemon's own socket, use one scratch folder and ask a fake registry in memory. It must
 * not send anything to another host or touch served layers, and no other room may depend on it: it may
 * fail without harm.
 * @module
 */
export { warmUpAll, type WarmUpOptions } from "./warm_up_all.ts";
