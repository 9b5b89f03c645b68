/** The indexing Worker that also writes the tar into a file. See the room `builder`. @module */
import { collectEverything } from "../../host/memory/mod.ts";
import { yieldCores } from "../../host/os/mod.ts";
import { serveIndexer } from "../builder/mod.ts";
import { DataWriter } from "./data_writer.ts";

/** Readers of layers that are here go first: what answers them takes little, and at once. */
const STEPS_BEHIND_READERS = 5;

yieldCores(STEPS_BEHIND_READERS);
// An idle Worker collects nothing while others open the layer.
serveIndexer((path) => new DataWriter(path), collectEverything);
