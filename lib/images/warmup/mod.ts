/**
 * Runs the code that the first image needs before there is an image: V8 runs code that it has not seen
 * before several times slower.
 *
 * Works on a made-up layer and a made-up registry, both in memory. It must not reach a real registry,
 * nor leave anything in the daemon's root.
 * @module
 */
export { warmUp } from "./warm_up.ts";
export { warmUpRegistry } from "./warm_up_registry.ts";
