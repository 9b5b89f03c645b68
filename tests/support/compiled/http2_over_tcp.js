/**
 * Only for the test runtime, Deno 2.7.11, whose HTTP/2 hangs on Unix sockets: both sides are given a TCP connection
 * of this machine, and the bytes are carried between it and the Unix socket. Loaded before each part of the program.
 * @module
 */
import { EventEmitter } from "node:events";
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

const LIBC = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];
const [POLLIN, SOCK_CLOEXEC, SHUT_RDWR] = [1, 0o2000000, 2];

function loadLibc() {
  for (const path of LIBC) {
    try {
      return Deno.dlopen(path, {
        poll: {
          parameters: ["buffer", "usize", "i32"],
          result: "i32",
          nonblocking: true,
        },
        accept4: {
          parameters: ["i32", "pointer", "pointer", "i32"],
          result: "i32",
        },
        read: {
          parameters: ["i32", "buffer", "usize"],
          result: "isize",
          nonblocking: true,
        },
        write: {
          parameters: ["i32", "buffer", "usize"],
          result: "isize",
          nonblocking: true,
        },
        shutdown: { parameters: ["i32", "i32"], result: "i32" },
        close: { parameters: ["i32"], result: "i32" },
      }).symbols;
    } catch {
      // the next one
    }
  }
  throw new Error("no libc");
}
let libc = null;

/** A connection that libc accepted. */
class Accepted extends EventEmitter {
  #isOpen = true;

  constructor(fd) {
    super();
    this.fd = fd;
  }

  /** Ends it, as a socket's does. */
  destroy() {
    if (this.#isOpen) libc.shutdown(this.fd, SHUT_RDWR);
  }

  /** Ends it before a byte was carried. */
  refuse() {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    libc.close(this.fd);
    this.emit("close");
  }

  /** Carries bytes both ways until one has ended. */
  async carry(conn) {
    const { fd } = this;
    const there = async () => {
      const bytes = new Uint8Array(64 * 1024);
      for (;;) {
        const count = Number(await libc.read(fd, bytes, bytes.length));
        if (count <= 0) return await conn.closeWrite();
        await write(conn, bytes.slice(0, count));
      }
    };
    const back = async () => {
      const bytes = new Uint8Array(64 * 1024);
      for (;;) {
        const count = await conn.read(bytes);
        if (count === null) break;
        for (let at = 0; at < count;) {
          const rest = bytes.slice(at, count);
          const wrote = Number(await libc.write(fd, rest, rest.length));
          if (wrote <= 0) return;
          at += wrote;
        }
      }
      libc.shutdown(fd, SHUT_RDWR);
    };
    await Promise.allSettled([there(), back()]);
    this.#isOpen = false;
    libc.close(fd);
    conn.close();
    this.emit("close");
  }
}

// Nor does it listen on a descriptor.
const { listen: listenElsewhere } = net.Server.prototype;
net.Server.prototype.listen = function (where, then, ...rest) {
  const fd = where?.fd;
  if (fd === undefined) {
    return listenElsewhere.call(this, where, then, ...rest);
  }
  libc ??= loadLibc();
  let open = true;
  const accept = async () => {
    const question = new Int32Array([fd, POLLIN]);
    while (open) {
      if (await libc.poll(question, 1, 100) <= 0) continue;
      const found = libc.accept4(fd, null, null, SOCK_CLOEXEC);
      if (found < 0) continue;
      if (open) this.emit("connection", new Accepted(found));
      else libc.close(found);
    }
    libc.close(fd);
  };
  accept();
  this.close = () => {
    open = false;
    return this;
  };
  queueMicrotask(() => then?.());
  return this;
};

http2.createServer = (...args) => {
  const server = createServer(...args);
  const { listen, close, emit } = server;
  let port = null;
  server.emit = (name, ...rest) => {
    const [accepted] = rest;
    if (!(accepted instanceof Accepted)) {
      return emit.call(server, name, ...rest);
    }
    port ??= new Promise((resolve) =>
      listen.call(
        server,
        { host: LOOPBACK, port: 0 },
        () => resolve(server.address().port),
      )
    );
    port.then((port) => Deno.connect({ hostname: LOOPBACK, port }))
      .then((conn) => accepted.carry(conn))
      .catch(() => accepted.refuse()); // the server listens no more
    return true;
  };
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
