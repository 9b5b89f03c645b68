/**
 * What is started: a program of each image and how one tells that it is ready. Each has two
 * invocations with the same purpose, so that a recording is not measured with what it was made of.
 * @module
 */

/** When a program is ready. */
export type Ready =
  /** It has printed `ready`. */
  | { readonly kind: "line" }
  /** It answers on a port of the host. */
  | {
    readonly kind: "port";
    readonly send: Uint8Array;
    readonly expect: string;
  };

/** One way to start a program. */
export interface Invocation {
  readonly args: readonly string[];
  /** Where it listens; null when it does not. */
  readonly port: number | null;
}

/** A program and its two invocations. */
export interface Workload {
  readonly ready: Ready;
  /** The one that recordings are made of. */
  readonly recorded: Invocation;
  /** The one that is measured: another script, port or class. */
  readonly measured: Invocation;
  /** Something else that the image can do, which ends by itself. */
  readonly other: Invocation;
}

/** The images' names. */
export const NAMES = [
  "redis",
  "java",
  "node",
  "python",
  "nginx",
  "postgres",
] as const;

/** An image's name, and its workload's. */
export type Name = typeof NAMES[number];

const text = (value: string) => new TextEncoder().encode(value);
const HTTP: Ready = {
  kind: "port",
  send: text("GET / HTTP/1.0\r\n\r\n"),
  expect: "HTTP/1.1 200",
};

const JAVA = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java";
const POSTGRES = [
  ...["setpriv", "--reuid=999", "--regid=999", "--clear-groups"],
  ...["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib/pgdata"],
  ...["-c", "listen_addresses=127.0.0.1"],
  ...["-c", "unix_socket_directories="],
];

const PYTHON: Invocation = {
  args: ["python3", "-c", "import asyncio, http.server, sqlite3, ssl"],
  port: null,
};

/** What each image runs. */
export const WORKLOADS: Readonly<Record<Name, Workload>> = {
  redis: {
    ready: { kind: "port", send: text("PING\r\n"), expect: "+PONG" },
    recorded: {
      args: ["redis-server", "--port", "28101"],
      port: 28101,
    },
    measured: {
      args: ["redis-server", "--port", "28102", "--maxmemory", "64mb"],
      port: 28102,
    },
    other: PYTHON,
  },
  java: {
    ready: { kind: "line" },
    recorded: { args: [JAVA, "-cp", "/app", "Hello"], port: null },
    measured: { args: [JAVA, "-cp", "/app", "Greeting"], port: null },
    other: PYTHON,
  },
  node: {
    ready: HTTP,
    recorded: { args: ["node", "/app/server.js", "28103"], port: 28103 },
    measured: { args: ["node", "/app/other.js", "28104"], port: 28104 },
    other: PYTHON,
  },
  python: {
    ready: { kind: "line" },
    recorded: { args: ["python3", "/app/job.py"], port: null },
    measured: { args: ["python3", "/app/other.py"], port: null },
    other: { args: ["gcc", "-Q", "--help=optimizers"], port: null },
  },
  nginx: {
    ready: HTTP,
    recorded: { args: ["nginx", "-c", "/app/recorded.conf"], port: 28105 },
    measured: { args: ["nginx", "-c", "/app/measured.conf"], port: 28106 },
    other: PYTHON,
  },
  postgres: {
    ready: { kind: "port", send: postgresHello(), expect: "R" },
    recorded: { args: [...POSTGRES, "-p", "28107"], port: 28107 },
    measured: {
      args: [...POSTGRES, "-p", "28108", "-c", "work_mem=8MB"],
      port: 28108,
    },
    other: { args: ["perl", "-MPOSIX", "-MIO::Socket", "-e1"], port: null },
  },
};

/** The first message of a client, which a server that is up answers with `R`. */
function postgresHello(): Uint8Array {
  const body = text("user\0postgres\0database\0postgres\0\0");
  const bytes = new Uint8Array(8 + body.length);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, bytes.length);
  view.setInt32(4, 3 << 16); // version 3.0 of the protocol
  bytes.set(body, 8);
  return bytes;
}
