/** A registry whose answers nothing in the test holds up. @module */

/** Where it is. */
export interface OwnRegistryReady {
  /** `127.0.0.1:<port>`, as in references. */
  readonly host: string;
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
}

/**
 * A registry that runs in a Worker: what the test does for the neighbours (their registries, their clients) would
 * otherwise count as the healthy one's waiting.
 */
export class OwnRegistry implements Disposable {
  private constructor(
    readonly host: string,
    readonly url: string,
    readonly worker: Worker,
    readonly counter: Int32Array,
  ) {}

  /** It answers when this returns. */
  static async start(): Promise<OwnRegistry> {
    const counter = new Int32Array(new SharedArrayBuffer(4));
    const worker = new Worker(
      new URL("./own_registry_worker.ts", import.meta.url),
      { type: "module" },
    );
    const { host, url } = await new Promise<OwnRegistryReady>(
      (resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => reject(new Error(event.message));
        worker.postMessage(counter);
      },
    );
    return new OwnRegistry(host, url, worker, counter);
  }

  /** How often it was asked for a part of a blob. */
  get parts(): number {
    return Atomics.load(this.counter, 0);
  }

  [Symbol.dispose](): void {
    this.worker.terminate();
  }
}
