/**
 * The compiled kernel, not yet instantiated. JavaScript, because TypeScript does not know
 * source-phase imports yet; unlike a plain import this allows several instances.
 * @module
 */
import source kernelModule from "./kernel.wasm";

export { kernelModule };
