import type { Adopted, FromStarter, ToStarter } from "./messages.ts";

/** What stands in for a thread, in the isolate that serves them. Disposing of it ends it. */
export interface Attendant extends Disposable {
  /** Answers what comes by a port. Called once. */
  readonly attend: (port: MessagePort) => void;
}

/** What may be started, by name. Each decides alone what its Worker may do. */
export type ThreadStarters = Readonly<
  Record<string, () => Promise<Worker | Attendant>>
>;

/** The most threads at a time: far more than any command has. */
const MAX_THREADS = 64;

/**
 * Starts threads for the isolate at the other end of the port, as long as this one lives. Nothing that is asked
 * decides more than which of the list is started.
 */
export function serveThreads(
  port: MessagePort,
  starters: ThreadStarters,
): void {
  const running = new Map<number, Promise<Worker | Attendant>>();
  const tell = (message: FromStarter) => port.postMessage(message);

  const start = async (id: number, name: string, own: MessagePort) => {
    if (running.size >= MAX_THREADS || running.has(id)) {
      throw new Error(`more than ${MAX_THREADS} threads`);
    }
    if (!Object.hasOwn(starters, name)) throw new Error(`no thread "${name}"`);
    const starting = starters[name]!();
    running.set(id, starting);
    const worker = await starting;
    if (!(worker instanceof Worker)) return worker.attend(own);
    worker.onerror = (event) => {
      event.preventDefault();
      tell({ id, why: event.message });
    };
    const adopted: Adopted = { threadPort: own };
    worker.postMessage(adopted, [own]);
  };

  port.onmessage = async ({ data }: MessageEvent<ToStarter>) => {
    const { id } = data;
    try {
      if (data.kind === "start") return await start(id, data.name, data.port);
      const stopped = await running.get(id);
      running.delete(id);
      if (stopped instanceof Worker) stopped.terminate();
      else stopped?.[Symbol.dispose]();
    } catch (error) {
      tell({ id, why: error instanceof Error ? error.message : String(error) });
    }
  };
}
