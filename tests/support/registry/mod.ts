/**
 * An OCI registry for tests: the whole distribution specification, a log of requests and bytes
 * sent, and faults that can be switched on and off while it runs.
 *
 * @example
 * ```ts ignore
 * import { startRegistry } from "./mod.ts";
 * await using registry = startRegistry();
 * const blob = registry.addBlob("a/b", new Uint8Array(3));
 * registry.faults.add({ kind: "truncate", afterBytes: 1, times: 1 });
 * ```
 * @module
 */
export type { RegistryAuth } from "./auth.ts";
export { noise, streamOf } from "./content.ts";
export type { Fault, Faults } from "./faults.ts";
export type { LogEntry } from "./http.ts";
export * from "./quirks.ts";
export type { RangeStyle } from "./ranges.ts";
export {
  type Intercept,
  type RegistryOptions,
  startRegistry,
  TestRegistry,
} from "./server.ts";
