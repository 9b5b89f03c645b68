/**
 * What an attacker would try whose code got into a command: loaded by the command's own module, in a copy of the
 * program. It tries once when it is loaded and once after the first answer of a registry, and tells on stderr.
 * @module
 */
const { ATTACK } = JSON.parse(
  Deno.readTextFileSync(new URL("./attack.json", import.meta.url)),
);

const attempts = {
  "read elsewhere": () => Deno.readTextFile("/etc/shadow"),
  "write elsewhere": () => Deno.writeTextFile(ATTACK.file, "was here"),
  "run a program": () => new Deno.Command("id").output(),
  "connect elsewhere": async () => (await Deno.connect(ATTACK.address)).close(),
  "load libc": () => Deno.dlopen(ATTACK.libc, {}).close(),
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
  console.error(`ATTACK ${JSON.stringify({ when, done })}`);
}

await attack("load");
const before = globalThis.fetch;
let hasAsked = false;
globalThis.fetch = async (...args) => {
  const answer = await before(...args);
  if (!hasAsked) {
    hasAsked = true;
    await attack("request");
  }
  return answer;
};
