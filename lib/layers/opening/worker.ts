/** The opening Worker: what takes long of what a layer is served with. See `messages.ts`. @module */
/// <reference lib="deno.worker" />
import { freeBuffer, RestingWorker } from "../../host/memory/mod.ts";
import { yieldCores } from "../../host/os/mod.ts";
import { answerThread } from "../../host/threads/mod.ts";
import { makeRest, type NewFiles } from "../store/mod.ts";
import { chainRecord, writeRecord } from "./chain.ts";
import { failureOf } from "./failures.ts";
import { makeLayer, type OpeningOrder } from "./make.ts";
import {
  buffersFromOpener,
  type Done,
  type FromOpener,
  type ToOpener,
} from "./messages.ts";
import { toTheEnd } from "./turns.ts";

/** Readers of layers that are open go first: what answers them takes little, and at once. */
const STEPS_BEHIND_READERS = 10;
/** Without work for so long, the Worker returns what it does not use, ms. */
const REST_MS = 500;

async function done(message: ToOpener): Promise<Done> {
  const { kind, order } = message;
  switch (kind) {
    case "layer": {
      let files: NewFiles = { isNew: false, files: [] };
      const layer = toTheEnd(makeLayer(order, (found) => files = found));
      freeUnused(order, files);
      return { kind, layer, files };
    }
    case "rest": {
      const { bytes } = order;
      return { kind, rest: toTheEnd(makeRest(order)), bytes };
    }
    case "chain":
      return { kind, record: chainRecord(order) };
    case "write":
      await writeRecord(order);
      return { kind };
  }
}

/** Returns the memory of a ztoc that is not to be put on disk: nothing refers to it any more. */
function freeUnused({ ztoc }: OpeningOrder, { files }: NewFiles): void {
  if (ztoc.kind === "folder") return;
  const { buffer } = ztoc.bytes;
  if (files.every(({ bytes }) => bytes.buffer !== buffer)) freeBuffer(buffer);
}

yieldCores(STEPS_BEHIND_READERS);
const rest = new RestingWorker(REST_MS);
const send = answerThread<ToOpener, FromOpener>(async (data) => {
  rest.used();
  let answer: FromOpener;
  try {
    answer = await done(data);
  } catch (error) {
    answer = { kind: "failed", failure: failureOf(error) };
  }
  send(answer, buffersFromOpener(answer));
});
