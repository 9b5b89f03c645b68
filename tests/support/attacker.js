/**
 * What an attacker would try whose code got into a command: loaded by the command's own module, in a copy of the
 * program. It tries once when it is loaded and once after the first answer of a registry or the first connection to
 * a socket, in the daemon after the first answer to whoever asks it at its control socket, and tells on stderr.
 * @module
 */
import { Socket } from "node:net";

/* global ATTACK, FetchedNetwork, openThread -- imported by the lines that the test writes above this */

const { fetch: ask } = globalThis;
const { connect } = Deno;
const attempts = {
  "read elsewhere": () => Deno.readTextFile("/etc/shadow"),
  "write elsewhere": () => Deno.writeTextFile(ATTACK.file, "was here"),
  "run a program": () => new Deno.Command("id").output(),
  "connect elsewhere": async () => (await connect(ATTACK.address)).close(),
  "fetch from elsewhere": async () => {
    const { hostname, port } = ATTACK.address;
    await (await ask(`http://${hostname}:${port}/`)).text();
  },
  "have a fetch Worker ask elsewhere": async () => {
    const { hostname, port } = ATTACK.address;
    using network = new FetchedNetwork({ images: [], places: [] });
    await network.sender({}).fetch(`http://${hostname}:${port}/`);
  },
  "have a Worker read elsewhere": async () => {
    const read = Promise.withResolvers();
    using hasher = openThread(
      {
        ...{ name: "layer hasher", given: "/etc/shadow" },
        start: () =>
          new Worker("data:text/javascript,", {
            type: "module",
            deno: { permissions: { read: ["/etc/shadow"] } },
          }),
      },
      { message: read.resolve, broken: (why) => read.reject(new Error(why)) },
    );
    hasher.post({ kind: "file", path: "/etc/shadow", sizeBytes: 1 });
    const { error } = await read.promise;
    if (error !== null) throw new Error(error);
  },
  "load libc": () => Deno.dlopen(ATTACK.libc, {}).close(),
  "read the environment": () => Deno.env.get("PATH"),
  "ask for more": async () => {
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Deno.errors.NotCapable("not given");
  },
  "start a Worker with more": async () => {
    const permissions = { read: true, write: true, run: true, ffi: true };
    const worker = new Worker("data:text/javascript,", {
      type: "module",
      deno: { permissions },
    });
    await new Promise((resolve) => setTimeout(resolve, 1));
    worker.terminate();
  },
};

/** What the fetch Worker says, and the process of a command that starts Workers for it. */
const REFUSED =
  /is no host that the command line names|no thread "|is no file of the root/;

async function attack(when) {
  const done = [];
  for (const [what, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      done.push(what);
    } catch (error) {
      if (error.name === "NotCapable" || REFUSED.test(error.message)) continue;
      done.push(`${what}: ${error}`);
    }
  }
  console.error(`ATTACK ${JSON.stringify({ when, done })}`);
}

/** A daemon is to be asked first. It asks itself, too, while it warms up. */
let listens = false;
let hasAsked = false;
async function attackOnce(who = "itself") {
  if (hasAsked || (listens && who === "itself")) return;
  hasAsked = true;
  await attack("request");
}

await attack("load");
const { sender } = FetchedNetwork.prototype;
FetchedNetwork.prototype.sender = function (tls) {
  const own = sender.call(this, tls);
  return {
    ...own,
    fetch: async (...args) => {
      const answer = await own.fetch(...args);
      await attackOnce();
      return answer;
    },
  };
};
const { listen } = Deno;
Deno.listen = (options) => {
  listens = true;
  const listener = listen(options);
  const { accept } = listener;
  listener.accept = async () => {
    const connection = await accept.call(listener);
    const { write } = connection;
    connection.write = async (bytes) => {
      const count = await write.call(connection, bytes);
      await attackOnce("others");
      return count;
    };
    return connection;
  };
  return listener;
};
// The daemon's socket, and what gRPC and the process of `mount` use.
Deno.connect = async (options) => {
  const connection = await connect(options);
  if (options.transport === "unix") await attackOnce();
  return connection;
};
const { connect: connectSocket } = Socket.prototype;
Socket.prototype.connect = function (...args) {
  this.once("connect", () => attackOnce());
  return connectSocket.apply(this, args);
};
globalThis.fetch = async (...args) => {
  const answer = await ask(...args);
  await attackOnce();
  return answer;
};
