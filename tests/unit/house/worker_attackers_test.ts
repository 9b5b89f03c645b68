import assert from "node:assert/strict";
import { LIBC_PATH, nameWithCalls } from "../../../lib/host/os/mod.ts";
import { PRODUCT, readModules, ROOT } from "../../../tools/house/mod.ts";

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

/** Where the source says which calls of libc a Worker keeps. */
interface CallsSaid {
  readonly in: string;
  readonly after: RegExp;
  readonly are: readonly string[];
}

async function callsSaid({ in: file, after }: CallsSaid): Promise<string[]> {
  const text = await Deno.readTextFile(new URL(file, ROOT));
  const [, list = ""] = after.exec(text) ?? [];
  return [...list.matchAll(/"(\w+)"/g)].map(([, call]) => call!);
}

interface Attacked {
  readonly worker: string;
  /** Of several that one module is. */
  readonly as?: string;
  readonly given: (target: string) => Deno.PermissionOptions;
  /** What gets done. */
  readonly done: readonly string[];
  readonly calls?: CallsSaid;
}

const folder = (target: string) => ({
  ...{ read: [folderOf(target)], write: [folderOf(target)] },
  ffi: [LIBC_PATH],
});

/**
 * What each Worker is given where it is started (`workers_test.ts` compares that with the source), and what an
 * attacker can do there. The one that inflates has a test of its own (`inflate_attacker_test.ts`), commands have
 * theirs (`attacker_test.ts`).
 */
const ATTACKED: readonly Attacked[] = [
  { worker: "lib/layers/builder/worker.ts", given: () => "none", done: [] },
  {
    ...{ worker: "lib/layers/opening/worker.ts", as: "layers", given: folder },
    calls: {
      in: "lib/layers/opening/workers.ts",
      after: /layers: \[([^\]]*)\]/,
      are: ["setpriority"],
    },
    done: ["read its file", "write its file"],
  },
  {
    ...{ worker: "lib/layers/opening/worker.ts", as: "chains", given: folder },
    calls: {
      in: "lib/layers/opening/workers.ts",
      after: /chains: \[([^;]*?)\n {2}\],/,
      are: [
        ...["setpriority", "mkdir", "chmod", "lchown", "lsetxattr"],
        ...["utimensat", "statx", "readlink", "llistxattr", "lgetxattr"],
      ],
    },
    done: ["read its file", "write its file"],
  },
  {
    ...{ worker: "lib/layers/whole/worker.ts", given: folder },
    calls: {
      in: "lib/layers/whole/mod.ts",
      after: /nameWithCalls\(\[([^\]]*)\]\)/,
      are: ["statfs", "setpriority"],
    },
    done: ["read its file", "write its file"],
  },
  {
    worker: "lib/layers/spans/whole_worker.ts",
    given: (target) => ({ read: [target] }),
    done: ["read its file"],
  },
  // They answer the kernel. By libc they can do whatever root may.
  {
    worker: "lib/layers/fs/worker.ts",
    given: () => ({ ffi: [LIBC_PATH] }),
    done: ["libc"],
  },
  {
    worker: "lib/layers/faces/erofs_probe_worker.ts",
    given: () => ({ ffi: [LIBC_PATH] }),
    done: ["libc"],
  },
  {
    worker: "lib/remote/network/fetch_worker.ts",
    given: () => ({ net: true }),
    done: ["connect", "fetch"],
  },
];

Deno.test("an attacker is put into every Worker", () => {
  const elsewhere = [
    ...["cmd/command_worker.ts", "lib/layers/spans/inflate_worker.ts"],
  ];
  const workers = readModules(ROOT, PRODUCT).flatMap(({ imports }) =>
    imports.filter(({ kind }) => kind === "worker").map(({ target }) => target!)
  );
  assert.deepEqual(
    [...new Set(workers)].sort(),
    [...new Set([...ATTACKED.map(({ worker }) => worker), ...elsewhere])]
      .sort(),
  );
});

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

for (const { worker: module, as, given, done, calls } of ATTACKED) {
  const name = as === undefined ? module : `${module} (${as})`;
  Deno.test(`an attacker in ${name} can do what it is given, and nothing else`, async () => {
    if (calls !== undefined) {
      assert.deepEqual(await callsSaid(calls), calls.are);
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
