/** The indexing Worker that also writes the tar into a file. See the room `builder`. @module */
import { collectEverything } from "../../host/memory/mod.ts";
import { yieldCores } from "../../host/os/mod.ts";
import { serveIndexer } from "../builder/mod.ts";
import { DataWriter } from "./data_writer.ts";
import { indexUnits } from "./index_units.ts";
import { STEPS_BEHIND_READERS } from "./unit_messages.ts";

yieldCores(STEPS_BEHIND_READERS);
serveIndexer({
  makeSink: (path) => new DataWriter(path),
  indexUnits,
  // An idle Worker collects nothing while others open the layer.
  afterLarge: collectEverything,
});
