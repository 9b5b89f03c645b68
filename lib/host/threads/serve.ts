import type { Adopted, FromStarter, ToStarter } from "./messages.ts";

/** What stands in for a thread, in the isolate that serves them. Disposing of it ends it. */
export interface Attendant extends Disposable {
  /** Answers what comes by a port. Called once. */
  readonly attend: (port: MessagePort) => void;
}

/**
 * What may be started, by name. Each decides alone what its Worker may do.
 * @param given what was asked for beside the name: to be looked at before it is used.
 */
export type ThreadStarters = Readonly<
  Record<string, (given: string | null) => Promise<Worker | Attendant>>
>;

/** Threads of a command whose number does not depend on the machine, and as many again. */
const OTHER_THREADS = 64;

/** The most threads at a time. Some kinds have one for each core: those that index, and those that inflate units. */
export function mostThreads(cores: number): number {
  return OTHER_THREADS + 2 * cores;
}

/**
 * Starts threads for the isolate at the other end of the port, as long as this one lives. Nothing that is asked
 * decides more than which of the list is started.
 */
export function serveThreads(
  port: MessagePort,
  starters: ThreadStarters,
): void {
  const most = mostThreads(navigator.hardwareConcurrency);
  const running = new Map<number, Promise<Worker | Attendant>>();
  const tell = (message: FromStarter) => port.postMessage(message);

  const start = async (
    { id, name, given, port: own }: Extract<ToStarter, { kind: "start" }>,
  ) => {
    if (running.size >= most || running.has(id)) {
      throw new Error(`more than ${most} threads`);
    }
    if (!Object.hasOwn(starters, name)) throw new Error(`no thread "${name}"`);
    const starting = starters[name]!(given);
    running.set(id, starting);
    const worker = await starting;
    if (!(worker instanceof Worker)) return worker.attend(own);
    worker.onerror = (event) => {
      event.preventDefault();
      tell({ kind: "broken", id, why: event.message });
    };
    const adopted: Adopted = { threadPort: own };
    worker.postMessage(adopted, [own]);
  };

  const stop = async (id: number) => {
    const starting = running.get(id);
    running.delete(id);
    const stopped = await starting?.catch(() => {}); // that was told
    if (stopped instanceof Worker) stopped.terminate();
    else stopped?.[Symbol.dispose]();
  };

  port.onmessage = async ({ data }: MessageEvent<ToStarter>) => {
    const { id } = data;
    try {
      if (data.kind === "start") return await start(data);
      await stop(id);
      tell({ kind: "stopped", id });
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      tell({ kind: "broken", id, why });
    }
  };
}
