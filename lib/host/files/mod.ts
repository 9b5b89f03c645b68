/**
 * TODO
 * @module
 */
export { namesIn, removeFolder } from "./folders.ts";
