/**
 * Keeps Deno's HTTP/2 from freeing a session that it is still reading from.
 *
 * A peer that leaves sends GOAWAY. `node:http2` then ends the session at once, inside the native read
 * that delivered the frame: Deno 2.9.6 frees the session, and the read continues in freed memory
 * (denoland/deno#36788). A daemon must survive every restart of containerd. So this guard ends sessions
 * one turn of the event loop later, when no native code is on the stack.
 *
 * Importing this module is enough; it changes `node:http2` for all of the process.
 * @module
 */
import http2 from "node:http2";

type Ending = (...args: unknown[]) => void;
interface Session {
  destroy: Ending;
}
type Make<T> = (...args: unknown[]) => T;
interface Http2 {
  connect: Make<Session>;
  createServer: Make<
    { on(event: "session", then: (s: Session) => void): void }
  >;
}

/** `close` calls `destroy` when no stream is left. */
function endLater(session: Session): void {
  const destroy = session.destroy.bind(session);
  let ending = false;
  session.destroy = (...args) => {
    if (ending) return;
    ending = true;
    setImmediate(() => destroy(...args));
  };
}

const module = http2 as unknown as Http2;
const { connect, createServer } = module;
module.connect = (...args) => {
  const session = connect(...args);
  endLater(session);
  return session;
};
module.createServer = (...args) => {
  const server = createServer(...args);
  server.on("session", endLater);
  return server;
};
