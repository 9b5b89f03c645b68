/** `debug_address`: what an operator or a bug report wants to know of the running process. @module */
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8";
import { logger } from "../lib/telemetry/mod.ts";
import { ConfigError } from "../lib/config/mod.ts";

const log = logger("debug");
const INDEX =
  `/debug/memory  memory of the process and of the main thread's heap
/debug/status  what is served and held, as \`soci-deno status --json\`
`;

/**
 * Serves figures of the process as JSON, until it is disposed of. An address that is taken is a warning.
 * @param address HOST:PORT, or a socket's path. @param status null: not ready yet.
 * @throws ConfigError
 */
export function serveDebug(
  address: string,
  status: () => Promise<unknown> | null,
): AsyncDisposable {
  const answer = async (request: Request): Promise<Response> => {
    switch (new URL(request.url).pathname) {
      case "/debug/":
        return new Response(INDEX);
      case "/debug/memory":
        return Response.json({
          process: Deno.memoryUsage(),
          heap: getHeapStatistics(),
          spaces: getHeapSpaceStatistics(),
        });
      case "/debug/status":
        return Response.json(await status());
    }
    return new Response(null, { status: 404 });
  };
  try {
    const server = Deno.serve(
      {
        ...placeOf(address),
        onListen: () => log.info("debugging is served", { address }),
      } as Deno.ServeTcpOptions,
      answer,
    );
    return { [Symbol.asyncDispose]: () => server.shutdown() };
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    log.warn("debugging cannot be served", { address, error: String(error) });
    return { [Symbol.asyncDispose]: () => Promise.resolve() };
  }
}

function placeOf(
  address: string,
): Deno.ServeTcpOptions | Deno.ServeUnixOptions {
  if (address.startsWith("/")) return { path: address };
  const [, host = "", port] = address.match(/^(.*):(\d{1,5})$/) ?? [];
  if (port === undefined || Number(port) > 65535) {
    throw new ConfigError(
      `debug_address: expected HOST:PORT or a path, but it is "${address}"`,
    );
  }
  // Only this machine, unless a host is named: it shows names of images.
  const hostname = host.replace(/^\[(.*)\]$/, "$1") || "127.0.0.1";
  return { hostname, port: Number(port) };
}
