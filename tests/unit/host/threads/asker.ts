/** A Worker that wants a thread and tells what it hears of it. @module */
/// <reference lib="deno.worker" />
import {
  openThread,
  startThreadsElsewhere,
} from "../../../../lib/host/threads/mod.ts";

/** What it is told first. */
export interface Errand {
  readonly port: MessagePort;
  readonly name: string;
  readonly says: string;
  readonly given?: string;
}

self.onmessage = ({ data }: MessageEvent<Errand>) => {
  const { port, name, says, given } = data;
  startThreadsElsewhere(port);
  const thread = openThread<string, string>({
    name,
    ...(given !== undefined && { given }),
    start: () => {
      throw new Error("started here");
    },
  }, {
    message: async (heard) => {
      self.postMessage(heard);
      if (heard === "here") return;
      await Promise.all([thread.stop(), thread.stop()]);
      self.postMessage("stopped");
    },
    broken: (why) => self.postMessage(`broken: ${why}`),
  });
  thread.post(says);
};
