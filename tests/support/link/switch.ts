/** The target of a {@linkcode Switch}; `nowhere` accepts connections and never sends a byte. */
export type SwitchTarget = "nowhere" | `${string}:${number}`;

/**
 * A TCP address whose target can be changed at any time. Every change cuts the open connections, so
 * that clients notice it at once.
 */
export class Switch implements AsyncDisposable {
  readonly port: number;
  readonly #connections = new Set<Deno.Conn>();
  /** null while it refuses connections. */
  #listener: Deno.TcpListener | null;
  #target: SwitchTarget;
  /** Connections accepted so far. */
  connections = 0;

  constructor(target: SwitchTarget) {
    this.#target = target;
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#listener = listener;
    this.port = listener.addr.port;
    this.#accept(listener);
  }

  /** Changes the target. */
  lead(target: SwitchTarget): void {
    this.#target = target;
    this.#cut();
    if (this.#listener !== null) return;
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: this.port });
    this.#accept(this.#listener);
  }

  /** Refuses connections until a target is set again. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = null;
    this.#cut();
  }

  /** Cuts all connections, and accepts new ones as before. */
  cut(): void {
    this.#cut();
  }

  #cut(): void {
    for (const connection of this.#connections) close(connection);
    this.#connections.clear();
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    try {
      for await (const client of listener) {
        this.connections++;
        this.#connections.add(client);
        this.#join(client).finally(() => this.#connections.delete(client));
      }
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error; // closed
    }
  }

  async #join(client: Deno.TcpConn): Promise<void> {
    const target = this.#target;
    if (target === "nowhere") return await swallow(client);
    const colon = target.lastIndexOf(":");
    let server: Deno.TcpConn;
    try {
      server = await Deno.connect({
        hostname: target.slice(0, colon),
        port: Number(target.slice(colon + 1)),
      });
    } catch {
      return close(client); // nobody listens: the client sees a closed connection
    }
    if (!this.#connections.has(client)) return close(server); // cut meanwhile
    this.#connections.add(server);
    // If one side closes, close both: HTTP needs no half-open connections.
    await Promise.any([
      server.readable.pipeTo(client.writable),
      client.readable.pipeTo(server.writable),
    ].map((way) => way.catch(() => {})));
    close(client);
    close(server);
    this.#connections.delete(server);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.refuse();
    return Promise.resolve();
  }
}

async function swallow(client: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(16 * 1024);
  try {
    while (await client.read(buffer) !== null);
  } catch {
    // we cut it
  }
  close(client);
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // already closed by its other end or by its streams
  }
}
