/**
 * The distribution client: where images, layers and indexes are fetched from and pushed to.
 * @module
 */
export {
  InvalidReferenceError,
  parseReference,
  Reference,
} from "./reference.ts";
