/**
 * What an attacker would try whose code got into a Worker of the program: put behind the Worker's own module, in a copy
 * of the program. It tries when that is loaded, and when the first message has come, before that is dealt with: some
 * Workers do nothing else afterwards. It tells on stderr.
 * @module
 */

/* global ATTACK, WORKER -- said by the lines that the test writes above this */

const attempts = {
  "read elsewhere": () => Deno.readTextFile("/etc/shadow"),
  "write elsewhere": () => Deno.writeTextFile(ATTACK.file, "was here"),
  "run a program": () => new Deno.Command("id").output(),
  "connect elsewhere": async () => (await Deno.connect(ATTACK.address)).close(),
  "fetch from elsewhere": async () => {
    const { hostname, port } = ATTACK.address;
    await (await fetch(`http://${hostname}:${port}/`)).text();
  },
  "load libc": () => Deno.dlopen(ATTACK.libc, {}).close(),
  "read the environment": () => Deno.env.get("PATH"),
  "ask for more": async () => {
    const { state } = await Deno.permissions.request({ name: "read" });
    if (state !== "granted") throw new Deno.errors.NotCapable("not given");
  },
  "start a Worker with more": () => {
    const permissions = { read: true, write: true, run: true, ffi: true };
    new Worker("data:text/javascript,", {
      type: "module",
      deno: { permissions },
    }).terminate();
  },
};

async function attack(when) {
  const done = [];
  for (const [what, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      done.push(what);
    } catch (error) {
      if (error.name !== "NotCapable") done.push(`${what}: ${error}`);
    }
  }
  console.error(
    `ATTACK-WORKER ${JSON.stringify({ worker: WORKER, when, done })}`,
  );
}

const { onmessage } = self;
let turn;
self.onmessage = (event) => {
  turn = (turn ?? attack("message")).then(() => onmessage.call(self, event));
};
await attack("load");
