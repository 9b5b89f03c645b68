/**
 * Threads: Workers that are started where they start fast. A Worker that starts another one waits half a second
 * for it (Deno 2.9.6); the main isolate waits for none. So code that runs in a Worker asks the main isolate, by
 * name, for what it needs, and gets a port to it.
 *
 * It may start Workers. It must not know what they do: whoever serves the requests says which modules there are,
 * and what each may do; what is said beside a name, as the path of a file, it judges. So whoever asks gets nothing that
 * is not on that list.
 * @module
 */
export {
  openThread,
  startThreadsElsewhere,
  type Thread,
  type ThreadEvents,
  type ThreadKind,
} from "./thread.ts";
export { type Attendant, serveThreads, type ThreadStarters } from "./serve.ts";
export { restartPauseMs } from "./restarts.ts";
export { answerThread } from "./inside.ts";
export {
  renewRing,
  type RingEnd,
  type RingMemory,
  ringMemory,
  RingReader,
  RingWriter,
  type WakingOptions,
} from "./ring.ts";
