/** The indexing Worker. @module */
import { serveIndexer } from "./serve.ts";

serveIndexer();
