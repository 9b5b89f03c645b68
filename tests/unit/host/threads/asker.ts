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
}

self.onmessage = ({ data }: MessageEvent<Errand>) => {
  const { port, name, says } = data;
  startThreadsElsewhere(port);
  const thread = openThread<string, string>(name, () => {
    throw new Error("started here");
  }, {
    message: (heard) => {
      self.postMessage(heard);
      thread[Symbol.dispose]();
    },
    broken: (why) => self.postMessage(`broken: ${why}`),
  });
  thread.post(says);
};
