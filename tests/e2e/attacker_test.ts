import assert from "node:assert/strict";
import { LIBC_PATH } from "../../lib/host/os/mod.ts";
import { encodeRecording } from "../../lib/formats/order/mod.ts";
import { PERMISSIONS } from "../../cmd/permissions.ts";
import { attackerGets } from "../../tools/permissions.ts";
import { pauseImage, pushImage } from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import {
  permissionFlags,
  permissionSets,
  tryRun,
} from "../support/host/mod.ts";
import { sociDeno } from "./host.ts";

const ROOT = new URL("../../", import.meta.url).pathname;

/** A copy of the program, each command of which loads the attacker. */
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
  /** Asks a daemon something, which then serves. */
  readonly ask?: () => Promise<void>;
}

/** What the attacker tells before the program ends, or has tried twice. */
async function untilTold(
  args: readonly string[],
  { end, ask }: Dealing,
): Promise<unknown[]> {
  const child = new Deno.Command(Deno.execPath(), {
    ...{ args: [...args], stdin: "null", stdout: "null", stderr: "piped" },
    signal: AbortSignal.timeout(60_000),
  }).spawn();
  let said = "";
  let told: unknown[] = [];
  let asked: Promise<void> | undefined;
  let isEnded = false;
  for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
    said += text;
    told = [...said.matchAll(/^ATTACK (.*)\n/gm)]
      .map(([, one]) => JSON.parse(one!));
    if (said.includes('"msg":"serving"')) asked ??= ask?.();
    if (told.length < 2 || end === null || isEnded) continue;
    isEnded = true;
    child.kill(end);
    if (end === "SIGKILL") break;
  }
  try {
    if (end === "SIGKILL" && !isEnded) child.kill(end);
  } catch {
    // it has ended
  }
  await Promise.all([child.status, asked]);
  assert.ok(told.length > 0, said);
  return told;
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
    "build-index": [...to, ...root, image],
    copy: [...to, image, `${image}-copied`],
    inspect: [...to, image],
    "order list": [...to, image],
    "order remove": [...to, image, `sha256:${"0".repeat(64)}`],
    "order show": [...to, recording],
    "order push": [...to, image, recording],
    doctor: [...to, ...root, ...containerd, image],
    // There is no such image, so nothing is mounted.
    mount: [...to, "--root", `${folder}/mount`, `${image}-none`, folder],
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

Deno.test("an attacker inside a command reads, writes, runs and reaches nothing that the table does not give it", async (t) => {
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
      ask: async () => {
        const { code, stderr } = await sociDeno(
          ...["status", "--root", `${folder}/served`],
        );
        assert.equal(code, 0, stderr);
      },
    },
    mount: { end: null },
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
      assert.deepEqual(
        await untilTold(
          program(words, ...request ?? ["--help"]),
          dealings[words] ?? { end: "SIGKILL" },
        ),
        when.map((one) => ({ when: one, done })),
      );
      const written = await Deno.remove(file).then(() => true, () => false);
      assert.equal(written, done.includes("write elsewhere"));
    });
  }
  await Deno.remove(folder, { recursive: true });
});
