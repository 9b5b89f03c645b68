/**
 * Only for the test runtime, Deno 2.7.11, whose HTTP/2 hangs on Unix sockets: both sides are given a TCP connection
 * of this machine, and the bytes are carried between it and the Unix socket. Loaded before each part of the program.
 * @module
 */
import http2 from "node:http2";
import net from "node:net";

const LOOPBACK = "127.0.0.1";

/** Carries bytes both ways until both have ended. A socket that fails takes the other with it. */
function join(one, other) {
  for (const [from, to] of [[one, other], [other, one]]) {
    from.pipe(to);
    from.on("error", () => to.destroy());
    from.on("close", () => to.destroy());
  }
}

/** The other end of a connected Unix socket, as a TCP connection. */
function overTcp(unix) {
  // Listens at once: HTTP/2 takes only sockets that connect already.
  const listener = Deno.listen({ hostname: LOOPBACK, port: 0 });
  const tcp = net.connect(listener.addr.port, LOOPBACK);
  listener.accept().then((conn) => {
    listener.close();
    carry(conn, unix).catch(() => unix.destroy());
  });
  return tcp;
}

async function carry(conn, unix) {
  unix.on("data", (bytes) => {
    unix.pause();
    write(conn, bytes).then(() => unix.resume(), () => unix.destroy());
  });
  unix.on("end", () => conn.closeWrite().catch(() => {}));
  unix.on("error", () => {});
  unix.on("close", () => {
    try {
      conn.close();
    } catch {
      // closed already
    }
  });
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await conn.read(buffer);
    if (count === null) break;
    if (!unix.write(buffer.slice(0, count))) {
      await new Promise((resolve) => unix.once("drain", resolve));
    }
  }
  unix.end();
}

async function write(conn, bytes) {
  for (let at = 0; at < bytes.length;) {
    at += await conn.write(bytes.subarray(at));
  }
}

const { connect, createServer } = http2;

http2.connect = (authority, options, ...rest) => {
  const create = options?.createConnection;
  if (create === undefined) return connect(authority, options, ...rest);
  return connect(authority, {
    ...options,
    createConnection: (...args) => {
      const socket = create(...args);
      return socket.remoteAddress === undefined ? overTcp(socket) : socket;
    },
  }, ...rest);
};

http2.createServer = (...args) => {
  const server = createServer(...args);
  const { listen, close } = server;
  server.listen = (where, then) => {
    if (where?.path === undefined) return listen.call(server, where, then);
    const door = net.createServer((unix) => {
      join(unix, net.connect(listen.port, LOOPBACK));
    });
    listen.call(server, { host: LOOPBACK, port: 0 }, () => {
      listen.port = server.address().port;
      server.address = () => where.path;
      door.listen(where.path, then);
    });
    server.close = (done) => {
      door.close();
      return close.call(server, done);
    };
    return server;
  };
  return server;
};

// That version knows no `unix:` in a list of permissions either, and the connections above are TCP's: a Worker gets
// the network of its parent instead.
const { Worker } = globalThis;
globalThis.Worker = class extends Worker {
  constructor(url, options) {
    const permissions = options?.deno?.permissions;
    const needsNet = Array.isArray(permissions?.net) &&
      permissions.net.some((one) => one.startsWith("unix:"));
    super(
      url,
      needsNet
        ? {
          ...options,
          deno: { permissions: { ...permissions, net: "inherit" } },
        }
        : options,
    );
  }
};
