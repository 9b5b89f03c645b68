/** The daemon's Worker, which cannot open the state of its snapshots: see `unable.ts`. @module */
/// <reference lib="deno.worker" />
import { Snapshotter } from "../../../lib/images/snapshotter/mod.ts";
import "../../../cmd/command_worker.ts";

Snapshotter.open = () => {
  throw new Error("the state cannot be opened");
};
