import assert from "node:assert/strict";
import { LIBC_PATH, nameWithCalls } from "../../../lib/host/os/mod.ts";
import { ROOT } from "../../../tools/house/mod.ts";

/** Tried by code that got into a Worker, when all that the real one loads is there. */
const ATTACK = `
const { target, address, libc } = ATTACKED;
const attempts = {
  "read its file": () => Deno.readTextFileSync(target),
  "read elsewhere": () => Deno.readTextFileSync("/etc/shadow"),
  "write its file": () => Deno.writeTextFileSync(target, "was here"),
  "write elsewhere": () => Deno.writeTextFileSync("/tmp/soci-deno-attack", "was here"),
  "connect": async () => (await Deno.connect(address)).close(),
  "fetch": async () => await (await fetch(\`http://127.0.0.1:\${address.port}/\`)).text(),
  "run": () => new Deno.Command("id").outputSync(),
  "environment": () => Deno.env.get("HOME"),
  "libc": () => Deno.dlopen(libc, {}).close(),
  "a Worker with more": () =>
    new Worker("data:text/javascript,", {
      type: "module",
      deno: { permissions: { read: true, ffi: true, env: true } },
    }).terminate(),
};
const done = [];
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    await attempt();
    done.push(what);
  } catch (error) {
    if (error.name !== "NotCapable") done.push(\`\${what}: \${error}\`);
  }
}
self.postMessage({ done });
`;

/** How the source names a Worker that has few calls of libc, by the file that starts it. */
const NAMED: Readonly<Record<string, RegExp>> = {
  "lib/layers/opening/workers.ts": /layers: \[([^\]]*)\]/,
  "lib/layers/whole/mod.ts": /nameWithCalls\(\[([^\]]*)\]\)/,
};

async function callsSaidIn(file: string): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(file, ROOT));
  const [, list = ""] = NAMED[file]!.exec(text) ?? [];
  return [...list.matchAll(/"(\w+)"/g)].map(([, call]) => call!);
}

/**
 * Workers that touch bytes of registries: what each is given where it is started (`workers_test.ts` compares that
 * with the source), and what an attacker can do there.
 */
const ATTACKED: Readonly<
  Record<
    string,
    {
      readonly given: (target: string) => Deno.PermissionOptions;
      readonly done: readonly string[];
      /** Calls of libc that it keeps, and where that is said. */
      readonly calls?: { readonly in: string; readonly are: readonly string[] };
    }
  >
> = {
  "lib/layers/builder/worker.ts": { given: () => "none", done: [] },
  "lib/layers/opening/worker.ts": {
    given: (target) => ({
      ...{ read: [folderOf(target)], write: [folderOf(target)] },
      ffi: [LIBC_PATH],
    }),
    calls: { in: "lib/layers/opening/workers.ts", are: ["setpriority"] },
    done: ["read its file", "write its file"],
  },
  "lib/layers/whole/worker.ts": {
    given: (target) => ({
      ...{ read: [folderOf(target)], write: [folderOf(target)] },
      ffi: [LIBC_PATH],
    }),
    calls: { in: "lib/layers/whole/mod.ts", are: ["statfs", "setpriority"] },
    done: ["read its file", "write its file"],
  },
  "lib/layers/spans/whole_worker.ts": {
    given: (target) => ({ read: [target] }),
    done: ["read its file"],
  },
  "lib/remote/registry/fetch_worker.ts": {
    given: () => ({ net: true }),
    done: ["connect", "fetch"],
  },
};

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

for (const [module, { given, done, calls }] of Object.entries(ATTACKED)) {
  Deno.test(`an attacker in ${module} can do what it is given, and nothing else`, async () => {
    if (calls !== undefined) {
      assert.deepEqual(await callsSaidIn(calls.in), calls.are);
    }
    const folder = await Deno.makeTempDir();
    const target = `${folder}/file`;
    await Deno.writeTextFile(target, "its own");
    await using server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      () => new Response("reached"),
    );
    const { hostname, port } = server.addr as Deno.NetAddr;
    const attacked = { target, address: { hostname, port }, libc: LIBC_PATH };
    await Deno.writeTextFile(
      `${folder}/attacker.js`,
      `import "${new URL(module, ROOT)}";
const ATTACKED = ${JSON.stringify(attacked)};
${ATTACK}`,
    );
    const worker = new Worker(`file://${folder}/attacker.js`, {
      type: "module",
      ...(calls !== undefined && { name: nameWithCalls(calls.are) }),
      deno: { permissions: given(target) },
    });
    try {
      const answer = Promise.withResolvers<readonly string[]>();
      worker.onmessage = ({ data }) => {
        if (data.done !== undefined) answer.resolve(data.done);
      };
      worker.onerror = (event) => {
        event.preventDefault();
        answer.reject(new Error(event.message));
      };
      assert.deepEqual(await answer.promise, done);
    } finally {
      worker.terminate();
      await Deno.remove(folder, { recursive: true });
    }
  });
}
