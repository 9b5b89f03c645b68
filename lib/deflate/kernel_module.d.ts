/** `kernel.wasm`, compiled from `kernel/inflate.as.ts`. */
export declare const kernelModule: WebAssembly.Module;
