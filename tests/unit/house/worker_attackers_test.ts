import assert from "node:assert/strict";
import { LIBC_PATH, nameWithCalls } from "../../../lib/host/os/mod.ts";
import {
  type RingMemory,
  ringMemory,
  RingWriter,
} from "../../../lib/host/threads/mod.ts";
import type { ToIndexer } from "../../../lib/layers/builder/messages.ts";
import { SharedMemory } from "../../../lib/layers/fs/shared/mod.ts";
import type { FuseWorkerStart } from "../../../lib/layers/fs/worker.ts";
import type { ToOpener } from "../../../lib/layers/opening/messages.ts";
import type { ToInflater } from "../../../lib/layers/whole/unit_messages.ts";
import type { WholeLayerQuestion } from "../../../lib/layers/spans/whole_messages.ts";
import type { Begin } from "../../../lib/remote/network/fetch_messages.ts";
import { PRODUCT, readModules, ROOT } from "../../../tools/house/mod.ts";
import { WORKERS } from "../../../tools/worker_permissions.ts";

/**
 * Tried by code that got into a Worker: when all that the real one loads is there, and when that has dealt with its
 * first message.
 */
const ATTACK = `
const { target, address, libc } = ATTACKED;
const attempts = {
  "read its file": () => Deno.readTextFileSync(target),
  "read elsewhere": () => Deno.readTextFileSync("/etc/shadow"),
  "write its file": () => Deno.writeTextFileSync(target, "was here"),
  "write elsewhere": () => Deno.writeTextFileSync("/tmp/soci-deno-attack", "was here"),
  "connect elsewhere": async () => (await Deno.connect(address)).close(),
  "fetch from elsewhere": async () => await (await fetch(\`http://127.0.0.1:\${address.port}/\`)).text(),
  "run": () => new Deno.Command("id").outputSync(),
  "environment": () => Deno.env.get("HOME"),
  "load libc": () => Deno.dlopen(libc, {}).close(),
  "a Worker with more": () =>
    new Worker("data:text/javascript,", {
      type: "module",
      deno: { permissions: { read: true, ffi: true, env: true } },
    }).terminate(),
};
async function attack(when) {
  const done = [];
  for (const [what, attempt] of Object.entries(attempts)) {
    try {
      await attempt();
      done.push(what);
    } catch (error) {
      if (error.name !== "NotCapable") done.push(\`\${what}: \${error}\`);
    }
  }
  self.postMessage({ attack: when, done });
}
const { onmessage } = self;
self.close = () => {}; // what serves a mount ends with that
self.onmessage = async (event) => {
  try {
    await onmessage.call(self, event);
  } catch {
    // where it serves a mount, that is not there
  }
  await attack("message");
};
await attack("load");
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
  readonly calls?: CallsSaid;
  /** Its first message: one of its kind, which need not come to anything. */
  readonly message: (target: string) => unknown;
  /** It is not answered. */
  readonly isSilent?: true;
}

/** A ring whose writer has given up. */
function endedRing(): RingMemory {
  const ring = ringMemory(4096);
  new RingWriter(ring).end();
  return ring;
}

const toIndexer = (data: string | null): ToIndexer => ({
  ...{ kind: "start", compression: "gzip", spanSizeBytes: 2 ** 20 },
  ...{ buildTool: "", diffId: "compute", windows: "all" },
  ...{ data, from: endedRing() },
});

/** Of a mount that is not there. */
function toFuse(): FuseWorkerStart {
  const sizes = { layers: 1, spans: 1, ranges: 1, ringItems: 1, workers: 1 };
  return {
    ...{ fd: -1, mount: 0, xattrs: false, directBlobs: false, worker: 0 },
    ...{ layersDirectory: "/no/such", tellsRequests: false },
    shared: new SharedMemory(sizes).buffers(),
  };
}

const folder = (target: string) => ({
  ...{ read: [folderOf(target)], write: [folderOf(target)] },
  ffi: [LIBC_PATH],
});

/**
 * What each Worker is given where it is started (`workers_test.ts` compares that with the source). The one that inflates has a test of its own (`inflate_attacker_test.ts`), commands have
 * theirs (`attacker_test.ts`).
 */
const ATTACKED: readonly Attacked[] = [
  {
    worker: "lib/layers/builder/worker.ts",
    given: () => "none",
    message: () => toIndexer(null),
  },
  {
    ...{ worker: "lib/layers/opening/worker.ts", as: "layers", given: folder },
    calls: {
      in: "lib/layers/opening/start.ts",
      after: /layers: \[([^\]]*)\]/,
      are: ["setpriority"],
    },
    message: (target): ToOpener => ({
      kind: "rest",
      order: {
        ...{ path: folderOf(target), bytes: new Uint8Array(64) },
        headers: "checked",
      },
    }),
  },
  {
    ...{ worker: "lib/layers/opening/worker.ts", as: "chains", given: folder },
    calls: {
      in: "lib/layers/opening/start.ts",
      after: /chains: \[([^;]*?)\n {2}\],/,
      are: [
        ...["setpriority", "mkdir", "chmod", "lchown", "lsetxattr"],
        ...["utimensat", "statx", "readlink", "llistxattr", "lgetxattr"],
      ],
    },
    message: (target): ToOpener => ({
      kind: "write",
      order: { record: "", folder: `${folderOf(target)}/chain` },
    }),
  },
  {
    ...{ worker: "lib/layers/whole/unit_worker.ts", given: folder },
    calls: {
      in: "lib/layers/whole/start.ts",
      after: /function startUnitInflater[^]*?nameWithCalls\(\[([^\]]*)\]\)/,
      are: ["setpriority"],
    },
    message: (): ToInflater => ({
      kind: "units",
      of: {
        works: [{
          ...{ unit: 0, start: 0, end: 7, bits: 0, window: -1 },
          ...{ offset: 0, size: 7, isLast: true },
        }],
        ...{ from: 0, compressed: new Uint8Array(7) },
      },
    }),
  },
  {
    ...{ worker: "lib/layers/whole/worker.ts", given: folder },
    calls: {
      in: "lib/layers/whole/start.ts",
      after: /function startTarWriter[^]*?nameWithCalls\(\[([^\]]*)\]\)/,
      are: ["statfs", "setpriority"],
    },
    message: (target) => toIndexer(`${folderOf(target)}/tar`),
  },
  {
    worker: "lib/layers/spans/whole_worker.ts",
    given: (target) => ({ read: [target] }),
    message: (path): WholeLayerQuestion => ({
      ...{ kind: "file", path, sizeBytes: 7 },
    }),
  },
  // They answer the kernel. By libc they can do whatever root may.
  {
    worker: "lib/layers/fs/worker.ts",
    given: () => ({ ffi: [LIBC_PATH] }),
    message: toFuse,
  },
  {
    worker: "lib/layers/faces/erofs_probe_worker.ts",
    given: () => ({ ffi: [LIBC_PATH] }),
    message: () => -1,
  },
  {
    worker: "lib/remote/network/fetch_worker.ts",
    given: () => ({ net: true }),
    message: (): Begin => ({
      ...{ kind: "begin", hosts: { images: [], places: [] }, only: [] },
      proxies: {},
    }),
    isSilent: true,
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
  assert.deepEqual(
    [...new Set(WORKERS.map(({ worker }) => worker))].sort(),
    [...new Set(workers)].filter((one) => one !== elsewhere[0]).sort(),
  );
});

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

for (
  const { worker: module, as, given, message, calls, isSilent = false }
    of ATTACKED
) {
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
      const answer = Promise.withResolvers<void>();
      const told: Record<string, readonly string[]> = {};
      let answered = isSilent;
      worker.onmessage = ({ data }) => {
        if (data.attack === undefined) {
          answered ||= "load" in told;
          return;
        }
        told[data.attack] = data.done;
        if (data.attack === "load") worker.postMessage(message(target));
        else answer.resolve();
      };
      worker.onerror = (event) => {
        event.preventDefault();
        answer.reject(new Error(event.message));
      };
      await answer.promise;
      const { gets } = WORKERS.find((one) =>
        one.worker === module && one.as === as
      )!;
      assert.ok(answered, "its first message is answered before");
      assert.deepEqual(told, { load: gets, message: gets });
    } finally {
      worker.terminate();
      await Deno.remove(folder, { recursive: true });
    }
  });
}
