/** The daemon's Worker with a clock that jumps. @module */
/// <reference lib="deno.worker" />
import "./clock_that_jumps.ts";
import "../../../cmd/command_worker.ts";
