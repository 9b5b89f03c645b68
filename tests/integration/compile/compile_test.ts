import assert from "node:assert/strict";
import { COMMANDS } from "../../../cmd/mod.ts";
import { type Bundle, bundle } from "../../../tools/binary/bundle.ts";
import { compile } from "../../../tools/binary/compile.ts";
import { entryName, workerModules } from "../../../tools/binary/starts.ts";
import { tryBinary } from "../../../tools/binary/trial.ts";
import { permissionSets, tryRun } from "../../support/host/mod.ts";

async function withFolder(use: (folder: string) => Promise<void>) {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-compiled-" });
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is in each file. */
function contents({ folder, files }: Bundle): Record<string, string> {
  return Object.fromEntries(
    files.map((name) => [name, Deno.readTextFileSync(`${folder}/${name}`)]),
  );
}

Deno.test("the bundle holds every Worker, needs no package, runs from anywhere and is the same each time", async () => {
  await withFolder(async (folder) => {
    const one = await bundle(`${folder}/one`);
    const workers = workerModules();
    assert.ok(workers.includes("lib/layers/fs/worker.ts"), String(workers));
    assert.ok(
      workers.includes("lib/layers/spans/inflate_worker.ts"),
      String(workers),
    );
    for (const worker of workers) {
      assert.ok(one.files.includes(entryName(worker)), worker);
    }
    for (const [name, text] of Object.entries(contents(one))) {
      if (!name.endsWith(".js")) continue;
      assert.doesNotMatch(text, /["']npm:/, name);
      // Deno would read it before it starts anything.
      assert.doesNotMatch(text, /\bimport\(\s*["'`]\.\//, name);
      // Would be described, and then decode all others, at each start.
      assert.doesNotMatch(text, /google\/protobuf\/descriptor\.proto/, name);
    }
    // Each module of Node takes 6 to 30 ms of CPU, in every isolate that loads one.
    const files = contents(one);
    assert.deepEqual(loadedFromElsewhere(files, "main.js"), []);
    const light = ["node:path", "node:util"];
    for (const command of ["pullCommand", "inspectCommand", "statusCommand"]) {
      const file = fileOf(files, command);
      assert.deepEqual(loadedFromElsewhere(files, file), light, command);
    }
    assert.ok(
      loadedFromElsewhere(files, fileOf(files, "convertCommand"))
        .includes("node:zlib"),
    );

    // All of it is read and parsed before the start does anything.
    assert.ok(bytesLoaded(files, fileOf(files, "serveCommand")) < 180_000);
    assert.ok(bytesLoaded(files, fileExporting(files, "runDaemon")) < 1.2e6);
    const audit = `${folder}/audit`;
    const listed = await tryRun(
      `${one.folder}/soci-deno`,
      [
        ...["index", "list", "--root", `${folder}/root`],
        ...["--content-store", "soci", "--address", `${folder}/none.sock`],
      ],
      {
        env: {
          ...{ DENO: Deno.execPath(), DENO_DIR: `${folder}/empty` },
          DENO_AUDIT_PERMISSIONS: audit,
        },
      },
    );
    assert.match(listed.stdout, /^DIGEST/, listed.stderr);
    const loaded = new Set(
      Array.from(
        Deno.readTextFileSync(audit).matchAll(/"file:[^"]*\/([\w.-]+\.js)"/g),
        ([, name = ""]) => name,
      ),
    );
    assert.ok(loaded.has("command_worker.js"), [...loaded].join(" "));
    const sizes = [...loaded].map((name) => files[name]!.length);
    const sum = sizes.reduce((all, one) => all + one, 0);
    // gRPC alone is larger: where containerd is not, nothing needs it.
    assert.ok(sum < 85_000, `${sum} bytes in ${sizes.length} files`);

    const said = Deno.readTextFileSync(`${one.folder}/licences.txt`);
    assert.match(said, /@grpc\/grpc-js 1\..*Apache License/s);
    assert.doesNotMatch(said, /proto-loader|protobufjs/);

    const ran = await tryRun(`${one.folder}/soci-deno`, ["--version"], {
      env: { DENO: Deno.execPath(), DENO_DIR: `${folder}/empty` },
    });
    assert.equal(ran.stdout.trim(), `soci-deno ${one.version}`, ran.stderr);
    const licences = await tryRun(`${one.folder}/soci-deno`, ["licences"], {
      env: { DENO: Deno.execPath(), DENO_DIR: `${folder}/empty` },
    });
    assert.match(licences.stdout, /Apache License.*@grpc\/grpc-js 1\./s);

    const two = await bundle(`${folder}/a/longer/name`);
    assert.deepEqual(contents(two), contents(one));
  });
});

/** What a file loads when it is loaded, itself and by others of the bundle, that is not of the bundle. */
function loadedFromElsewhere(
  files: Readonly<Record<string, string>>,
  entry: string,
): string[] {
  return loadedWith(files, entry).elsewhere;
}

/** Bytes of a file and of those of the bundle that are loaded with it. */
function bytesLoaded(
  files: Readonly<Record<string, string>>,
  entry: string,
): number {
  return loadedWith(files, entry).names
    .reduce((sum, name) => sum + files[name]!.length, 0);
}

function loadedWith(
  files: Readonly<Record<string, string>>,
  entry: string,
): { readonly names: string[]; readonly elsewhere: string[] } {
  const names = new Set([entry]);
  const found = new Set<string>();
  for (const name of names) {
    const imports = files[name]!.matchAll(
      /(?:^|;)(?:import|export)\s*(?:[\w$*{][^;()"]*?from)?"([^"]+)"/g,
    );
    for (const [, target = ""] of imports) {
      if (target.startsWith("./")) names.add(target.slice(2));
      else found.add(target);
    }
  }
  return { names: [...names], elsewhere: [...found].sort() };
}

/** The file that exports a name. */
function fileExporting(
  files: Readonly<Record<string, string>>,
  name: string,
): string {
  const exported = new RegExp(`\\bas ${name}\\b`);
  return Object.keys(files).find((file) =>
    file.endsWith(".js") && exported.test(files[file]!)
  )!;
}

/** The file that has a command. */
function fileOf(
  files: Readonly<Record<string, string>>,
  command: string,
): string {
  const loads = new RegExp(
    `import\\(String\\("\\./([^"]+)"\\)\\)\\)\\.${command}\\b`,
  );
  return Object.values(files).flatMap((text) => loads.exec(text)?.[1] ?? [])
    .at(0)!;
}

Deno.test("two compiles of one tree are equal, hold licences and Workers, and one that does not run is told", async () => {
  await withFolder(async (folder) => {
    // Any Deno executable lets the file be written. What comes out runs as plain Deno.
    const baseRuntime = Deno.execPath();
    const made = await compile(`${folder}/one`, { baseRuntime });
    await compile(`${folder}/two`, { baseRuntime });
    const { code } = await tryRun("cmp", [`${folder}/one`, `${folder}/two`]);
    assert.equal(code, 0);
    for (const name of [...made.starts, "licences.txt"]) {
      const { code } = await tryRun("grep", ["-qaF", name, `${folder}/one`]);
      assert.equal(code, 0, `${name} is not in the binary`);
    }
    await assert.rejects(
      tryBinary(`${folder}/one`, made.version, Deno.build.arch),
      /does not work.*--version/,
    );
    await assert.rejects(
      compile(`${folder}/arm`, {
        baseRuntime,
        architecture: Deno.build.arch === "x86_64" ? "aarch64" : "x86_64",
      }),
      /is no program for/,
    );
  });
});

Deno.test("every subcommand has a permission set, and the binary's is their union", () => {
  const { binary, ...sets } = permissionSets();
  assert.ok(binary !== undefined);
  for (const { name } of COMMANDS) {
    const set = sets[name];
    assert.ok(set !== undefined, `no permission set for ${name}`);
    for (const [kind, scope] of Object.entries(set)) {
      const most: true | readonly string[] | undefined = binary[kind];
      assert.ok(most !== undefined, `${name} needs ${kind}`);
      if (scope === true || most === true) assert.equal(most, true);
      else assert.ok(scope.every((one) => most.includes(one)), kind);
    }
  }
  const used = new Set(Object.values(sets).flatMap(Object.keys));
  assert.deepEqual(Object.keys(binary).sort(), [...used].sort());
});
