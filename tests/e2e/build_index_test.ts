/** `build-index` and `convert --standalone` from every source, interrupted, and with logins. @module */
import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { Descriptor } from "../../lib/formats/oci/mod.ts";
import {
  decodeOrderManifest,
  decodePins,
  decodePlan,
  encodeRecording,
  ORDER_ANNOTATION,
  ORDER_MEDIA,
  rangesOfFrame,
  unpackFrame,
} from "../../lib/formats/order/mod.ts";
import { SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import { run, sociDenoCommand, tryRun } from "../support/host/mod.ts";
import {
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
  writeLayout,
} from "../support/images/mod.ts";
import { throttle } from "../support/link/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { sociDeno } from "./host.ts";
import { digestsIn, ToolsHost, toolsImage, toolsIndex } from "./tools_host.ts";

const ALL = ["--min-layer-size", "0", "--span-size", "512KiB"];

Deno.test("the same image gives the same index from registry, containerd, layout and archive", async (t) => {
  await using host = await ToolsHost.start();
  const image = toolsImage();
  const ref = await host.add("app:1", image);
  const layout = await host.layout("layout", image);
  await run("tar", ["cf", `${host.folder}/oci.tar`, "-C", layout, "."]);
  const address = ["--address", host.containerd.address];
  const build = async (...args: string[]) => {
    const root = await Deno.makeTempDir({ dir: host.folder });
    const { code, stdout, stderr } = await sociDeno(
      ...["build-index", "--json", "--root", root, ...ALL],
      ...args,
    );
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /in the ordinary way/, "blobs came quickly");
    return JSON.parse(stdout).images[0];
  };
  const digests = new Set<string>();

  await t.step("from the registry, pushed", async () => {
    const { index, layers } = await build(ref);
    digests.add(index);
    assert.deepEqual(
      layers.map(({ kind }: { kind: string }) => kind),
      ["built", "built", "built"],
    );
  });
  await t.step(
    "from containerd, pushed: what is there is not pushed again",
    async () => {
      digests.add(
        (await build("--from", "containerd", "--debug", ...address, ref)).index,
      );
    },
  );
  await t.step("from a layout, kept in containerd's store", async () => {
    digests.add(
      (await build("--from", layout, "--local", ...address, ref)).index,
    );
  });
  await t.step(
    "from an archive, kept in an OCI layout, without containerd",
    async () => {
      digests.add(
        (await build(
          ...["--from", `${host.folder}/oci.tar`, "--local"],
          ...["--content-store", "soci", "--address", "/nowhere.sock", ref],
        )).index,
      );
    },
  );
  assert.equal(digests.size, 1);

  await t.step(
    "an index of an image that containerd does not have is kept until it is removed",
    async () => {
      const foreign = await host.layout("foreign", toolsImage("s390x"));
      const { index } = await build(
        ...["--from", foreign, "--local", ...address, host.ref("foreign:1")],
      );
      await host.containerd.ctr("images", "tag", ref, "collect.me/now:1");
      await host.containerd.ctr("images", "rm", "--sync", "collect.me/now:1");
      const content = () => host.containerd.ctr("content", "ls", "-q");
      assert.ok((await content()).includes(index));
      await host.soci("rebuild-db");
      await host.soci("index", "rm", index);
      assert.ok(!(await content()).includes(index));
    },
  );

  await t.step(
    "an index whose image is not at the registry is not pushed",
    async () => {
      const { code, stderr } = await sociDeno(
        ...["build-index", ...ALL, "--from", layout, host.ref("elsewhere:1")],
      );
      assert.equal(code, 1);
      assert.match(
        stderr,
        /the image is not there as it is here.*push the image first/,
      );
    },
  );

  await t.step(
    "--to from a layout uploads what the registry lacks",
    async () => {
      const { converted } = JSON.parse(
        await host.tool(
          ...["build-index", "--json", ...ALL],
          ...["--from", layout, "--to", "soci", host.ref("fresh:1")],
        ),
      );
      const inspected = JSON.parse(
        await host.tool("inspect", "--json", host.ref("fresh:soci")),
      );
      assert.equal(inspected.images[0].index.digest, converted.indexes[0]);
      await host.containerd.ctr(
        "images",
        "pull",
        "--plain-http",
        host.ref("fresh:soci"),
      );
    },
  );
});

Deno.test("work that is interrupted leaves no index, and its finished ztocs are used again", async () => {
  await using registry = startRegistry();
  const image = makeImage({
    layers: [0, 1, 2, 3].map((seed) =>
      layerBlob(
        new TarBuilder().file(
          "f",
          incompressible(seed < 3 ? 50_000 : 20e6, seed + 1),
        ),
      )
    ),
  });
  await pushImage(registry.host, "slow:1", image);
  const folder = await Deno.makeTempDir();
  try {
    // Three small layers come at once, the large one takes longer than the patience of this test.
    await using link = await throttle(registry.host, {
      bitsPerSecond: 20e6,
      delayMs: 1,
    });
    const line = [
      ...["build-index", "--root", folder, "--min-layer-size", "0"],
    ];
    const { program, args } = sociDenoCommand(...line, `${link.host}/slow:1`);
    const child = new Deno.Command(program, {
      args,
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    let told = "";
    const reader = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    while (told.split("\n").length < 4) {
      const { value, done } = await reader.read();
      if (done) break;
      told += value;
    }
    child.kill("SIGINT");
    const { code } = await child.status;
    const stderr = await new Response(child.stderr).text();
    await reader.cancel();
    assert.equal(code, 1, told + stderr);
    assert.match(stderr, /interrupted by SIGINT/);
    const finished = digestsIn(told);
    assert.equal(finished.length, 6, told);

    const inspected = await sociDeno(
      "inspect",
      "--json",
      `${registry.host}/slow:1`,
    );
    assert.equal(JSON.parse(inspected.stdout).images[0].index, null);

    const again = await sociDeno(...line, `${registry.host}/slow:1`);
    assert.equal(again.code, 0, again.stderr);
    const reused = again.stdout.split("\n")
      .filter((text) => text.endsWith("(already exists)"));
    assert.deepEqual(digestsIn(reused.join()).sort(), finished.sort());
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--timeout ends work that takes longer", async () => {
  await using registry = startRegistry();
  await pushImage(registry.host, "app:1", toolsImage());
  await using link = await throttle(registry.host, {
    bitsPerSecond: 1e6,
    delayMs: 1,
  });
  const { code, stderr } = await sociDeno(
    ...["build-index", ...ALL, "--timeout", "1s", `${link.host}/app:1`],
  );
  assert.equal(code, 1);
  assert.match(stderr, /not done within 1s/);
});

Deno.test("standalone conversion works on folders and archives, and leaves nothing half done", async (t) => {
  const folder = await Deno.makeTempDir();
  try {
    const layout = `${folder}/in`;
    await writeLayout(layout, toolsIndex());
    const convert = (...args: string[]) =>
      sociDeno("convert", "--standalone", ...args);

    await t.step("to an archive that other tools read", async () => {
      const { code, stderr } = await convert(
        ...[...ALL, "--all-platforms", layout, `${folder}/out.tar`],
      );
      assert.equal(code, 0, stderr);
      const { stdout } = await run("skopeo", [
        ...["inspect", "--raw", `oci-archive:${folder}/out.tar`],
      ]);
      assert.equal(JSON.parse(stdout).manifests.length, 4);
      const copied = `${folder}/copied`;
      await run("skopeo", [
        ...["copy", "--all", `oci-archive:${folder}/out.tar`, `oci:${copied}`],
      ]);
    });

    await t.step("to a folder, twice, with the same bytes", async () => {
      const index = () => Deno.readTextFile(`${folder}/out/index.json`);
      const again = async () => {
        const { code, stderr } = await convert(
          ...["--format", "oci-dir", ...ALL, layout, `${folder}/out`],
        );
        assert.equal(code, 0, stderr);
        return await index();
      };
      assert.equal(await again(), await again());
      assert.deepEqual(
        [...Deno.readDirSync(`${folder}/out`)].map(({ name }) => name).sort(),
        ["blobs", "index.json", "oci-layout"],
      );
    });

    await t.step(
      "a converted image converted again is the same image",
      async () => {
        const { code, stderr } = await convert(
          ...[...ALL, `${folder}/out`, `${folder}/again.tar`],
        );
        assert.equal(code, 0, stderr);
        const { stdout } = await tryRun("tar", [
          ...["xOf", `${folder}/again.tar`, "index.json"],
        ]);
        assert.equal(
          stdout,
          await Deno.readTextFile(`${folder}/out/index.json`),
        );
      },
    );

    await t.step("with a load order, to a folder and an archive", async () => {
      const base = toolsImage().layers[0]!;
      const touch = { layer: 0, offset: 2 ** 20, length: 70_000 };
      const recording = `${folder}/web.json`;
      await Deno.writeFile(
        recording,
        encodeRecording({
          ...{ image: "app", workload: "web", platform: "linux/amd64" },
          ...{ runs: 1, layers: [base.digest] },
          touches: [{ ...touch, ms: 1, waitedMs: 0, runs: 1 }],
        }),
      );
      const pin = [...ALL, "--companion", "--load-order", recording, layout];
      const out = `${folder}/ordered`;
      for (const to of [["--format", "oci-dir", out], [`${out}.tar`]]) {
        const { code, stderr } = await convert(...pin, ...to);
        assert.equal(code, 0, stderr);
      }
      const archived = await run("tar", ["xOf", `${out}.tar`, "index.json"]);
      const entry = await Deno.readTextFile(`${out}/index.json`);
      assert.equal(archived.stdout, entry, "the same image");
      const blob = (digest: string) =>
        Deno.readFile(`${out}/blobs/sha256/${digest.slice(7)}`);
      const parsed = async (digest: string) =>
        JSON.parse(new TextDecoder().decode(await blob(digest)));
      const image = await parsed(JSON.parse(entry).manifests[0].digest);
      const named = (type: string) =>
        image.manifests.find((one: Descriptor) => one.artifactType === type)
          .digest;
      const pins = decodePins(
        (await parsed(named(SOCI_MEDIA.indexV2)))
          .annotations[ORDER_ANNOTATION.pins],
      );
      const digest = named(ORDER_MEDIA.artifact);
      assert.deepEqual(pins, [{ workload: "web", digest }]);
      const { plan, packs } = decodeOrderManifest(await blob(digest));
      const order = decodePlan(await blob(plan.digest));
      const pack = await blob(packs[0]!.digest);
      const frame = order.frames[0]!;
      const content = unpackFrame(
        frame,
        pack.subarray(frame.offset, frame.offset + frame.compressedLength),
      );
      const [range] = rangesOfFrame(order, frame, content);
      const { offset, bytes } = range!;
      const tar = gunzipSync(base.bytes);
      assert(offset <= touch.offset);
      assert(offset + bytes.length >= touch.offset + touch.length);
      assert(tar.subarray(offset, offset + bytes.length).equals(bytes));
    });

    await t.step("failures leave no output", async () => {
      for (
        const args of [
          ["--min-layer-size", "1GiB", layout, `${folder}/none.tar`],
          [
            "--format",
            "oci-dir",
            "--min-layer-size",
            "1GiB",
            layout,
            `${folder}/none`,
          ],
          [...ALL, `${folder}/missing`, `${folder}/none.tar`],
        ]
      ) assert.equal((await convert(...args)).code, 1);
      const missing = toolsImage().layers[0]!.digest.slice(7);
      await Deno.writeFile(
        `${layout}/blobs/sha256/${missing}`,
        new Uint8Array(toolsImage().layers[0]!.bytes.length),
      );
      const broken = await convert(...ALL, layout, `${folder}/none.tar`);
      assert.equal(broken.code, 1, "a layer whose bytes are wrong");
      assert.deepEqual(
        [...Deno.readDirSync(folder)].map(({ name }) => name)
          .filter((name) => name.startsWith("none")),
        [],
      );
    });

    await t.step("a folder that is no layout is not overwritten", async () => {
      await Deno.mkdir(`${folder}/precious`);
      await Deno.writeTextFile(`${folder}/precious/file`, "mine");
      const { code, stderr } = await convert(
        ...[
          "--format",
          "oci-dir",
          ...ALL,
          `${folder}/out`,
          `${folder}/precious`,
        ],
      );
      assert.equal(code, 1);
      assert.match(stderr, /precious is there already/);
      assert.equal(await Deno.readTextFile(`${folder}/precious/file`), "mine");
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("registry flags: logins, plain HTTP by hosts.toml, and --debug that tells no secret", async () => {
  await using registry = startRegistry({
    auth: { kind: "basic", username: "me", password: "secret-word" },
  });
  const scheme = { authorization: `Basic ${btoa("me:secret-word")}` };
  await pushImage(registry.host, "app:1", toolsImage(), scheme);
  const folder = await Deno.makeTempDir();
  try {
    const tool = (...args: string[]) =>
      sociDeno(...args, "--root", `${folder}/root`);
    const refused = await tool("inspect", `${registry.host}/app:1`);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /log in/);
    const login = ["--user", "me:secret-word"];
    await Deno.mkdir(`${folder}/hosts/registry.example`, { recursive: true });
    await Deno.writeTextFile(
      `${folder}/hosts/registry.example/hosts.toml`,
      `server = "${registry.url}"\n`,
    );
    const built = await tool(
      ...["build-index", "--debug", ...ALL, ...login],
      ...["--hosts-dir", `${folder}/hosts`, "registry.example/app:1"],
    );
    assert.equal(built.code, 0, built.stderr);
    assert.match(built.stderr, /debug: request method=GET url=http:/);
    assert.doesNotMatch(built.stderr, /secret-word|Basic/);
    const inspected = await tool("inspect", ...login, `${registry.host}/app:1`);
    assert.equal(inspected.code, 0, inspected.stderr);
    assert.match(inspected.stdout, /^covered {3}3 of 3 layers/m);
    for (const line of inspected.stdout.split("\n")) {
      assert.ok(line.length <= 100, `wider than a terminal: ${line}`);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("--refresh logs in with a token, and a password is taken from a terminal alone", async () => {
  await using registry = startRegistry({
    auth: {
      kind: "bearer",
      username: "me",
      password: "secret-word",
      refreshToken: "refresh-word",
    },
  });
  registry.addManifest("app", toolsImage().manifest, { tag: "1" });
  for (const [digest, bytes] of toolsImage().blobs) {
    assert.equal(registry.addBlob("app", bytes).digest, digest);
  }
  const ref = `${registry.host}/app:1`;
  const refreshed = await sociDeno("inspect", "--refresh", "refresh-word", ref);
  assert.equal(refreshed.code, 0, refreshed.stderr);
  assert.equal((await sociDeno("inspect", "--refresh", "wrong", ref)).code, 1);
  const asked = await sociDeno("inspect", "--user", "me", ref);
  assert.equal(asked.code, 2);
  assert.match(asked.stderr, /--user must be name:password/);
});

/** Runs a program on a terminal of its own, and types when it asks for a password. */
const TERMINAL = `
import json, os, pty, sys, termios
typed = sys.argv[1].encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin1")
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
seen, echo = b"", None
while True:
    try: piece = os.read(fd, 4096)
    except OSError: break
    if not piece: break
    seen += piece
    if typed and b"Password of me: " in seen:
        os.write(fd, typed)
        typed = b""
    try: echo = bool(termios.tcgetattr(fd)[3] & termios.ECHO)
    except termios.error: pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(json.dumps({"seen": seen.decode(), "code": status, "echo": echo}))
`;

Deno.test("--user NAME asks for the password on the terminal and does not show it", async (t) => {
  await using registry = startRegistry({
    auth: { kind: "basic", username: "me", password: "secret-word" },
  });
  await pushImage(registry.host, "app:1", toolsImage(), {
    authorization: `Basic ${btoa("me:secret-word")}`,
  });
  const typing = async (typed: string) => {
    const { program, args } = sociDenoCommand(
      ...["inspect", "--json", "--user", "me", `${registry.host}/app:1`],
    );
    const { stdout, stderr } = await tryRun("python3", [
      ...["-c", TERMINAL, typed, program, ...args],
    ], { timeoutMs: 60_000 });
    assert.equal(stderr, "");
    return JSON.parse(stdout) as { seen: string; code: number; echo: boolean };
  };
  await t.step("a password with a slip of the finger", async () => {
    const { seen, code } = await typing(
      "secret-w\\xc3\\xa4\\x7ford\\r",
    );
    assert.equal(code, 0, seen);
    assert.doesNotMatch(seen, /secret|ord\r/);
  });
  await t.step("a wrong one", async () => {
    const { seen, code } = await typing("secret\\n");
    assert.equal(code, 1);
    assert.match(seen, /log in/);
  });
  await t.step(
    "Ctrl-C leaves a terminal that shows what is typed",
    async () => {
      const { code, echo } = await typing("secr\\x03");
      assert.equal(code, 130);
      assert.equal(echo, true);
    },
  );
});
