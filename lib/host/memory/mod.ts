/**
 * TODO
 * @module
 */
export { giveBackWhenIdle, keepLargeBuffersApart } from "./idle.ts";
