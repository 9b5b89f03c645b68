/**
 * `mount-helper PID` run from sources. It loads nothing else of this program: that takes half the time
 * and memory.
 * @module
 */
import { serveMounts } from "../lib/host/mount_process/mod.ts";

await serveMounts(Number(Deno.args[1]));
