import assert from "node:assert/strict";
import { LIBC_PATH } from "../../lib/host/os/mod.ts";
import { encodeRecording } from "../../lib/formats/order/mod.ts";
import { PERMISSIONS } from "../../cmd/permissions.ts";
import { attackerGets } from "../../tools/permissions.ts";
import { WORKERS } from "../../tools/worker_permissions.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pauseImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import {
  pause,
  permissionFlags,
  permissionSets,
  run,
  tryRun,
} from "../support/host/mod.ts";
import { buildIndex, sociDeno } from "./host.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A copy of the program, each command and each Worker of which loads the attacker. */
async function attackedProgram(
  folder: string,
  attack: Readonly<Record<string, unknown>>,
): Promise<void> {
  await tryRun("cp", [
    "-r",
    ...["main.ts", "cmd", "lib", "deno.json", "deno.lock"].map((name) =>
      `${ROOT}${name}`
    ),
    folder,
  ]);
  // Without the workspace's members, which are not copied.
  const config = JSON.parse(await Deno.readTextFile(`${folder}/deno.json`));
  delete config.workspace;
  await Deno.writeTextFile(`${folder}/deno.json`, JSON.stringify(config));
  await Deno.writeTextFile(
    `${folder}/attacker.js`,
    `import { FetchedNetwork } from "./lib/remote/network/mod.ts";
import { openThread } from "./lib/host/threads/mod.ts";
const ATTACK = ${JSON.stringify(attack)};
${await Deno.readTextFile(`${ROOT}tests/support/attacker.js`)}`,
  );
  for (const words of Object.keys(PERMISSIONS)) {
    const module = words.replace(" ", "/").replaceAll("-", "_");
    const up = words.includes(" ") ? "../../" : "../";
    const path = `${folder}/cmd/${module}.ts`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, `import "${up}attacker.js";\n${text}`);
  }
  const inWorker = await Deno.readTextFile(
    `${ROOT}tests/support/worker_attacker.js`,
  );
  for (const worker of new Set(WORKERS.map(({ worker }) => worker))) {
    const said = JSON.stringify;
    await Deno.writeTextFile(
      `${folder}/${worker}`,
      `{\nconst ATTACK = ${said(attack)}, WORKER = ${
        said(worker)
      };\n${inWorker}}\n`,
      { append: true },
    );
  }
}

/** A Unix socket that takes connections and answers nothing. */
function silentSocket(path: string): Disposable {
  const listener = Deno.listen({ transport: "unix", path });
  const connections: Deno.Conn[] = [];
  const accepting = (async () => {
    for await (const connection of listener) connections.push(connection);
  })();
  accepting.catch(() => {}); // it is closed
  return {
    [Symbol.dispose]: () => {
      listener.close();
      for (const connection of connections) connection.close();
    },
  };
}

/** How a program that the attacker is in is dealt with. */
interface Dealing {
  /** What ends it when the attacker has tried twice; null: it ends by itself. One that mounts has to end orderly. */
  readonly end: "SIGKILL" | "SIGINT" | null;
  /** Done meanwhile. @param until resolves when the program has said a text on stderr */
  readonly meanwhile?: (
    until: (text: string) => Promise<void>,
  ) => Promise<void>;
}

/** What an attacker tells who is in a Worker. */
interface WorkerTold {
  readonly worker: string;
  readonly when: "load" | "message";
  readonly done: readonly string[];
}

/** What the attackers tell before the program ends, or the one in the command has tried twice. */
async function untilTold(
  args: readonly string[],
  { end, meanwhile }: Dealing,
): Promise<{ command: unknown[]; workers: WorkerTold[] }> {
  const child = new Deno.Command(Deno.execPath(), {
    ...{ args: [...args], stdin: "null", stdout: "null", stderr: "piped" },
    signal: AbortSignal.timeout(60_000),
  }).spawn();
  let said = "";
  let isEnded = false;
  const told = (kind: string) =>
    [...said.matchAll(new RegExp(`^${kind} (.*)\\n`, "gm"))]
      .map(([, one]) => JSON.parse(one!));
  const until = async (text: string) => {
    while (!said.includes(text)) {
      assert.ok(!isEnded, said);
      await pause(20);
    }
  };
  const done = meanwhile?.(until);
  done?.catch(() => child.kill("SIGINT"));
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    if (end === null || isEnded || told("ATTACK").length < 2) continue;
    isEnded = true;
    child.kill(end);
    if (end === "SIGKILL") break;
  }
  isEnded = true;
  await child.status;
  await done;
  const command = told("ATTACK");
  assert.ok(command.length > 0, said);
  return { command, workers: told("ATTACK-WORKER") };
}

/** What an attacker gets done outside of a Worker's own files. */
function elsewhereBy(worker: string): readonly string[] {
  return WORKERS.find((one) => one.worker === worker)!.gets
    .filter((what) => !/ (its|an open) file$/.test(what));
}

/** Arguments with which commands come to a first request: to a registry, to containerd or to the daemon, or of one. */
function firstRequests(
  { folder, image }: { folder: string; image: string },
): Readonly<Record<string, readonly string[]>> {
  const to = ["--plain-http", `--hosts-dir=${folder}/hosts`];
  const served = ["--root", `${folder}/served`];
  const root = ["--root", `${folder}/root`];
  const containerd = ["--address", `${folder}/containerd.sock`];
  const recording = `${folder}/recording`;
  return {
    serve: [
      ...[...to, ...served, "--address", `${folder}/served.sock`],
      ...["--config", `${folder}/config.toml`, "--face", "fuse"],
    ],
    adopt: ["--back", ...served, ...containerd], // what `serve` left
    "build-index": [...to, ...root, "--min-layer-size", "0", image],
    copy: [...to, image, `${image}-copied`],
    inspect: [...to, image],
    "order list": [...to, image],
    "order remove": [...to, image, `sha256:${"0".repeat(64)}`],
    "order show": [...to, recording],
    "order push": [...to, image, recording],
    doctor: [...to, ...root, ...containerd, image],
    mount: [
      ...[...to, "--root", `${folder}/mount`, "--face", "fuse"],
      ...[`${image}-mounted`, `${folder}/mounted`],
    ],
    // Of containerd.
    pull: [...to, ...root, ...containerd, image],
    "content fetch": [...to, ...containerd, image],
    create: [...root, ...containerd, image],
    convert: [...root, ...containerd, image, `${image}-soci`],
    push: [...to, ...root, ...containerd, image],
    record: [...to, ...root, ...containerd, image],
    "rebuild-db": [...root, ...containerd],
    // Of the daemon.
    status: root,
    stop: root,
    "debug snapshot": [...root, "--output", `${folder}/debug.json`],
    "debug trace": root,
  };
}

/** Workers that an index of any layer takes, and a mount of `pushIndexed`'s image. */
const WORKERS_OF: Readonly<Record<string, readonly string[]>> = {
  "build-index": [
    ...["lib/layers/builder/worker.ts", "lib/remote/network/fetch_worker.ts"],
  ],
  mount: [
    ...["lib/layers/fs/worker.ts", "lib/layers/spans/inflate_worker.ts"],
    ...["lib/layers/whole/worker.ts", "lib/layers/spans/whole_worker.ts"],
  ],
};

/** Resolves when those have been attacked, loaded and with their first message. */
async function untilAllTold(
  words: string,
  until: (text: string) => Promise<void>,
): Promise<void> {
  for (const worker of WORKERS_OF[words]!) {
    for (const when of ["load", "message"]) {
      const start = JSON.stringify({ worker, when }).slice(0, -1);
      await until(`ATTACK-WORKER ${start},`);
    }
  }
}

/** An image of a layer with an index, and of a small one without. */
async function pushIndexed(
  registry: TestRegistry,
  image: string,
): Promise<void> {
  const layers = [2 ** 20, 100].map((size, at) =>
    layerBlob(
      new TarBuilder().file(at === 0 ? "data" : "small", incompressible(size)),
    )
  );
  const name = image.slice(registry.host.length + 1);
  await pushImage(registry.host, name, makeImage({ layers }));
  await buildIndex("--min-layer-size", "65536", image);
}

function isMounted(directory: string): boolean {
  return Deno.readTextFileSync("/proc/self/mountinfo")
    .includes(` ${directory} `);
}

Deno.test("an attacker inside a command or a Worker reads, writes, runs and reaches nothing that the table does not give it", async (t) => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", pauseImage());
  await using elsewhere = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("reached"),
  );
  const { hostname, port } = elsewhere.addr as Deno.NetAddr;
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-attack-" });
  const file = `${folder}-elsewhere`;
  await attackedProgram(folder, {
    ...{ file, libc: LIBC_PATH },
    address: { hostname, port },
  });
  const image = `${registry.host}/app:1`;
  const program = (words: string, ...args: string[]) => [
    ...["run", "--no-check", "--no-prompt", "--quiet"],
    "--unstable-worker-options",
    ...permissionFlags(permissionSets()["binary"]!),
    `${folder}/main.ts`,
    ...(words === "create" ? ["soci"] : []),
    ...words.split(" "),
    ...args,
  ];
  await Deno.mkdir(`${folder}/root`);
  const directory = `${folder}/mounted`;
  await Deno.mkdir(directory);
  await pushIndexed(registry, `${image}-mounted`);
  using _daemon = silentSocket(`${folder}/root/control.sock`);
  using _containerd = silentSocket(`${folder}/containerd.sock`);
  await Deno.writeFile(
    `${folder}/recording`,
    encodeRecording({
      ...{ image, workload: "default", platform: "linux/amd64", runs: 1 },
      ...{ layers: [], touches: [] },
    }),
  );
  await Deno.writeTextFile(`${folder}/config.toml`, "");
  const requests = firstRequests({ folder, image });
  const dealings: Readonly<Record<string, Dealing>> = {
    serve: {
      end: "SIGINT",
      meanwhile: async (until) => {
        await until('"msg":"serving"');
        const { code, stderr } = await sociDeno(
          ...["status", "--root", `${folder}/served`],
        );
        assert.equal(code, 0, stderr);
      },
    },
    "build-index": {
      end: null,
      meanwhile: (until) => untilAllTold("build-index", until),
    },
    mount: {
      end: null,
      meanwhile: async (until) => {
        for (let tries = 0; !isMounted(directory); tries++) {
          assert.ok(tries < 300, "nothing is mounted");
          await pause(100);
        }
        await run("timeout", ["20", "cat", `${directory}/data`]);
        await untilAllTold("mount", until);
        const { code, stderr } = await sociDeno("umount", directory);
        assert.equal(code, 0, stderr);
      },
    },
  };
  // Commands that share their lists are tried once.
  const different = new Map(
    Object.entries(PERMISSIONS).map(([words, needs]) => [needs, words]),
  );
  for (const words of different.values()) {
    const request = requests[words];
    const when = request === undefined ? ["load"] : ["load", "request"];
    await t.step(`${words}: ${when.join(", ")}`, async () => {
      const done = attackerGets(words);
      const { command, workers } = await untilTold(
        program(words, ...request ?? ["--help"]),
        dealings[words] ?? { end: "SIGKILL" },
      );
      assert.deepEqual(command, when.map((one) => ({ when: one, done })));
      for (const { worker, when, done } of workers) {
        assert.deepEqual(done, elsewhereBy(worker), `${worker}: ${when}`);
      }
      const written = await Deno.remove(file).then(() => true, () => false);
      assert.equal(written, done.includes("write elsewhere"));
    });
  }
  await t.step("serve, with [network] hosts: load, request", async () => {
    const config = `${folder}/config.toml`;
    await Deno.writeTextFile(
      config,
      `[network]\nhosts = ["${registry.host}"]\n`,
    );
    const { command } = await untilTold(
      program("serve", ...requests["serve"]!),
      dealings["serve"]!,
    );
    const done = attackerGets("serve").filter((one) => !/elsewhere/.test(one));
    assert.deepEqual(done, ["load libc"]);
    assert.deepEqual(
      command,
      ["load", "request"].map((when) => ({ when, done })),
    );
  });
  await Deno.remove(folder, { recursive: true });
});
