/**
 * Names of images in registries, by the grammar of `distribution/reference`: what people type, with Docker's defaults
 * filled in. Knows neither registries nor what is asked of them.
 * @module
 */
export {
  InvalidReferenceError,
  parseHost,
  parseReference,
  Reference,
  registryAddress,
} from "./reference.ts";
