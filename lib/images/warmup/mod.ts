/**
 * TODO
 * @module
 */
export { warmUp } from "./warm_up.ts";
export { warmUpRegistry } from "./warm_up_registry.ts";
