/** The existing tool's command lines, one after another, run under the name `soci`. @module */
import assert from "node:assert/strict";
import { sociDenoNamed, tryRun } from "../support/host/mod.ts";
import { incompressible } from "../support/images/mod.ts";
import {
  digestsIn,
  sortedLines,
  ToolsHost,
  toolsImage,
  toolsIndex,
} from "./tools_host.ts";

const ALL = ["--min-layer-size", "0", "--span-size", "524288"];
const DIGEST = "sha256:[0-9a-f]{64}";

Deno.test("create, list, info, get-file, push, remove and rebuild-db do what the existing tool does", async (t) => {
  await using host = await ToolsHost.start();
  const image = toolsImage();
  const ref = await host.add("app:1", image);
  const [base, top, plain] = image.layers.map(({ digest }) => digest);
  let index = "";
  let ztocs: string[] = [];

  await t.step("create tells what became of each layer", async () => {
    const none = await host.trySoci("create", ref);
    assert.equal(none.code, 1);
    assert.equal(
      none.stderr,
      "soci: no ztocs created, all layers either skipped or produced errors\n",
    );
    assert.match(
      none.stdout,
      /^ztoc skipped - layer sha256:\w+ \(\S+\) size \d+ is less than min-layer-size 10485760$/m,
    );
    const made = sortedLines(await host.soci("create", ...ALL, ref));
    assert.equal(made.length, 3);
    for (const line of made) {
      assert.match(line, new RegExp(`^layer ${DIGEST} -> ztoc ${DIGEST}$`));
    }
    const again = sortedLines(await host.soci("create", ...ALL, ref));
    assert.deepEqual(again, made.map((line) => `${line} (already exists)`));
    const forced = await host.soci("create", ...ALL, "--force", ref);
    assert.deepEqual(sortedLines(forced), made);
  });

  await t.step(
    "index list shows it, quietly and by image and platform",
    async () => {
      const list = await host.soci("index", "list");
      assert.match(
        list,
        /^DIGEST +SIZE +IMAGE REF +PLATFORM +MEDIA TYPE +MANIFEST VERSION +CREATED +$/m,
      );
      assert.match(list, /linux\/amd64 +application\/\S+ +v1 +\d+s ago/);
      assert.ok(list.includes(ref));
      [index] = digestsIn(list) as [string];
      assert.equal(await host.soci("index", "ls", "-q"), `${index}\n`);
      assert.equal(
        await host.soci("index", "ls", "-q", "--ref", ref),
        `${index}\n`,
      );
      assert.equal(
        await host.soci("index", "ls", "-q", "--ref", "no/such:1"),
        "",
      );
      assert.equal(
        await host.soci("index", "ls", "-q", "-p", "linux/s390x"),
        "",
      );
      const [json] = JSON.parse(await host.soci("index", "ls", "--json"));
      assert.equal(json.manifest, image.digest);
    },
  );

  await t.step("index info is the index, indented", async () => {
    const info = JSON.parse(await host.soci("index", "info", index));
    assert.equal(info.subject.digest, image.digest);
    ztocs = info.layers.map(({ digest }: { digest: string }) => digest);
    assert.equal(ztocs.length, 3);
    const unknown = await host.trySoci("index", "info", base!);
    assert.equal(unknown.code, 1);
    assert.match(
      unknown.stderr,
      /^soci: index sha256:\w+ is not in the local store/,
    );
  });

  await t.step("ztoc list and info", async () => {
    const list = await host.soci("ztoc", "list");
    assert.match(list, /^DIGEST +SIZE +LAYER DIGEST +$/m);
    for (const digest of [...ztocs, base!, top!, plain!]) {
      assert.ok(list.includes(digest));
    }
    assert.deepEqual(
      (await host.soci("ztoc", "ls", "-q", "--image-ref", ref)).trim().split(
        "\n",
      ),
      ztocs,
    );
    const one = await host.soci("ztoc", "ls", "--ztoc-digest", ztocs[1]!);
    assert.deepEqual(digestsIn(one), [ztocs[1], top]);
    const info = JSON.parse(await host.soci("ztoc", "info", ztocs[0]!));
    assert.equal(info.span_size, 524288);
    assert.equal(info.num_files, 4);
    assert.deepEqual(
      info.files.map((file: { filename: string }) => file.filename),
      ["etc/", "etc/hostname", "app/big", "app/text"],
    );
    const big = info.files[2];
    assert.ok(big.end_span > big.start_span);
    assert.equal(info.num_multi_span_files >= 1, true);
  });

  await t.step("ztoc get-file gives a file's bytes", async () => {
    const text = await host.soci("ztoc", "get-file", ztocs[1]!, "etc/hostname");
    assert.equal(text, "top\n\n");
    const out = `${host.folder}/out`;
    await host.soci("ztoc", "get-file", "-o", out, ztocs[0]!, "/app/big");
    assert.deepEqual(
      await Deno.readFile(out),
      incompressible(3 * 2 ** 20),
    );
    assert.notEqual((await Deno.stat(out)).mode! & 0o400, 0);
    const missing = await host.trySoci("ztoc", "get-file", ztocs[0]!, "none");
    assert.equal(missing.code, 1);
    assert.equal(
      missing.stderr,
      "soci: file none does not exist in metadata\n",
    );
  });

  await t.step("push puts it beside the image, once", async () => {
    const first = await host.soci("push", ref);
    assert.match(
      first,
      /^checking if a soci index already exists in remote repository\.\.\.\npushing soci index with digest: /,
    );
    for (const digest of [...ztocs, index]) {
      assert.ok(first.includes(`pushing artifact with digest: ${digest}\n`));
      assert.ok(
        first.includes(`successfully pushed artifact with digest: ${digest}\n`),
      );
    }
    const second = await host.soci("push", ref);
    assert.match(
      second,
      /\[WARN\] soci index found in remote repository with digest: /,
    );
    assert.ok(second.endsWith(`skipped artifact with digest: ${index}\n`));
    const skipped = await host.soci("push", "--existing-index", "skip", ref);
    assert.match(skipped, /skipping pushing artifacts for image manifest: /);
    const allowed = await host.soci("push", "--existing-index=allow", ref);
    assert.doesNotMatch(allowed, /checking|WARN/);
    assert.equal(await host.soci("push", "-q", ref), `${index}\n`);
    const wrong = await host.trySoci("push", "--existing-index", "bad", ref);
    assert.equal(wrong.code, 1);
    assert.match(
      wrong.stderr,
      /unexpected value for flag existing-index: bad, expected types \[warn skip allow\]/,
    );
    const inspected = JSON.parse(await host.tool("inspect", "--json", ref));
    assert.equal(inspected.images[0].index.digest, index);
    assert.equal(
      inspected.images[0].coveredBytes,
      inspected.images[0].totalBytes,
    );
    assert.equal(inspected.images[0].companion, null);
  });

  await t.step(
    "push under our own name puts its companion beside it, too",
    async () => {
      const push = ["push", "-a", host.containerd.address, ref];
      const without = await host.tool(...push, "--no-companion");
      assert.doesNotMatch(without, /companion/);
      const [companion] = digestsIn(
        (await host.tool(...push)).match(/^pushed companion .+$/m)![0],
      );
      const [image] = JSON.parse(await host.tool("inspect", "--json", ref))
        .images;
      assert.equal(image.index.digest, index);
      assert.equal(image.companion.digest, companion);
      assert.equal(image.companion.ztocs, ztocs.length);
      const { code, stderr } = await host.trySoci("push", "--no-companion");
      assert.equal(code, 1);
      assert.match(stderr, /no-companion/);
    },
  );

  await t.step(
    "containerd's garbage collection keeps the index while its image is there",
    async () => {
      await host.containerd.ctr("content", "fetch", "--plain-http", ref);
      await collectGarbage(host);
      assert.ok(
        (await host.containerd.ctr("content", "ls", "-q")).includes(index),
      );
      assert.equal(
        JSON.parse(await host.soci("index", "info", index)).layers.length,
        3,
      );
    },
  );

  await t.step(
    "a second index of the image does not let the first be collected",
    async () => {
      await host.soci("create", "--min-layer-size", "0", ref);
      const [second] = digestsIn(
        await host.soci("index", "ls", "-q", "--ref", ref),
      );
      assert.notEqual(second, index);
      await collectGarbage(host);
      const layersOf = async (digest: string) =>
        JSON.parse(await host.soci("index", "info", digest)).layers.length;
      assert.equal(await layersOf(index), 3);
      assert.equal(await layersOf(second!), 3);
      await host.soci("index", "rm", second!);
      await collectGarbage(host);
      assert.equal(await layersOf(index), 3);
      await host.soci("rebuild-db");
    },
  );

  await t.step(
    "index remove takes it away, and rebuild-db brings nothing back",
    async () => {
      for (
        const line of [["index", "rm"], ["index", "rm", "--ref", ref, index]]
      ) {
        const { code, stderr } = await host.trySoci(...line);
        assert.equal(code, 1);
        assert.match(
          stderr,
          /provide either index digests or image ref, but not both/,
        );
      }
      assert.equal(await host.soci("index", "rm", index), "");
      assert.equal((await host.trySoci("index", "rm", index)).code, 1);
      await collectGarbage(host);
      const left = await host.containerd.ctr("content", "ls", "-q");
      for (const digest of [index, ...ztocs]) assert.ok(!left.includes(digest));
      assert.equal(await host.soci("rebuild-db"), "");
      assert.equal(await host.soci("index", "ls", "-q"), "");
      assert.equal(await host.soci("ztoc", "ls", "-q"), "");
    },
  );

  await t.step("rebuild-db finds what another database knows", async () => {
    await host.soci("create", ...ALL, ref);
    await Deno.remove(`${host.folder}/root`, { recursive: true });
    assert.equal(await host.soci("index", "ls", "-q"), "");
    await host.soci("rebuild-db");
    const list = await host.soci("index", "ls");
    assert.deepEqual(digestsIn(list), [index]);
    assert.ok(list.includes(ref) && list.includes("linux/amd64"));
    assert.equal(
      (await host.soci("ztoc", "ls", "-q")).trim().split("\n").length,
      3,
    );
    await host.soci("index", "rm", "--ref", ref);
    assert.equal(await host.soci("index", "ls", "-q"), "");
  });
});

/** Removing an image waits for containerd's collector. */
async function collectGarbage(host: ToolsHost): Promise<void> {
  const [first] = (await host.containerd.ctr("images", "ls", "-q")).split("\n");
  await host.containerd.ctr("images", "tag", first!, "collect.me/now:1");
  await host.containerd.ctr("images", "rm", "--sync", "collect.me/now:1");
}

Deno.test("convert binds an image to its indexes, with prefetch lists, and push pushes it", async (t) => {
  await using host = await ToolsHost.start();
  const ref = await host.add("app:1", toolsIndex());
  const to = host.ref("app:soci");
  const flags = [
    ...ALL,
    "--all-platforms",
    ...["--optimizations", "xattr", "--prefetch-file", "/app/big"],
  ];

  await t.step("convert", async () => {
    const told = await host.soci("convert", ...flags, ref, to);
    assert.match(
      told,
      new RegExp(
        `^Created prefetch artifact for layer ${DIGEST}: ${DIGEST}$`,
        "m",
      ),
    );
    const images = await host.containerd.ctr("images", "ls");
    assert.ok(images.includes(to));
    const before = images;
    await host.soci("convert", ...flags, ref, to);
    assert.equal(
      await host.containerd.ctr("images", "ls"),
      before,
      "again gives the same image",
    );
    const json = JSON.parse(
      await host.soci("convert", "--json", ...flags, ref, to),
    );
    assert.equal(json.images.length, 2);
    assert.equal(json.images[0].prefetch.length, 1);
  });

  await t.step("a name that is none for a new image is refused", async () => {
    const digest = `${host.ref("app")}@${toolsImage().digest}`;
    for (const name of [digest, host.ref("app")]) {
      const { code, stderr } = await host.trySoci("convert", ...ALL, ref, name);
      assert.equal(code, 1);
      assert.match(
        stderr,
        /the destination image must be a tagged ref of the form/,
      );
    }
  });

  await t.step("index list tells v2, a row a platform", async () => {
    const rows = JSON.parse(
      await host.soci("index", "ls", "--json", "--ref", to),
    );
    assert.deepEqual(
      rows.map((row: { version: string; platform: string }) =>
        `${row.version} ${row.platform}`
      ).sort(),
      ["v2 linux/amd64", "v2 linux/arm64"],
    );
    const one = await host.soci("index", "ls", "-p", "linux/arm64");
    assert.equal(one.trim().split("\n").length, 2);
  });

  await t.step("prefetch list and info", async () => {
    const list = await host.soci("prefetch", "ls");
    assert.match(list, /^DIGEST +LAYER DIGEST +SPANS +CREATED +$/m);
    const [digest, layer] = digestsIn(list);
    assert.equal(layer, toolsImage().layers[0]!.digest);
    const [row] = JSON.parse(await host.soci("prefetch", "list", "--json"));
    assert.equal(row.Digest, digest);
    const info = await host.soci("prefetch", "info", digest!);
    assert.match(info, /^Version: {7}1\.0$/m);
    assert.match(
      info,
      /^ {2}\[0\] StartSpan: 0, EndSpan: \d+ \(covers \d+ spans\)$/m,
    );
    const json = JSON.parse(
      await host.soci("prefetch", "info", "--json", digest!),
    );
    assert.equal(json.prefetch_spans[0].start_span, 0);
    assert.ok(info.endsWith(`Total spans to prefetch: ${row.TotalSpans}\n`));
  });

  await t.step("a JSON file of paths says the same as the flags", async () => {
    const file = `${host.folder}/paths.json`;
    await Deno.writeTextFile(file, '["/app/big"]');
    const other = [...ALL, "--all-platforms", "--optimizations=xattr"];
    await host.soci(
      "convert",
      ...other,
      "--prefetch-files-json",
      file,
      ref,
      host.ref("app:json"),
    );
    const images = (await host.containerd.ctr("images", "ls")).split("\n");
    const digestOf = (name: string) =>
      digestsIn(images.find((line) => line.startsWith(`${name} `))!)[0];
    assert.equal(digestOf(host.ref("app:json")), digestOf(to));
    await Deno.writeTextFile(file, '{"not": "a list"}');
    const { code } = await host.trySoci(
      "convert",
      "--prefetch-files-json",
      file,
      ref,
      to,
    );
    assert.equal(code, 1);
  });

  await t.step(
    "push pushes the whole image, and its index is found there",
    async () => {
      const told = await host.soci("push", to);
      assert.match(told, /^pushing image with digest: /);
      const inspected = JSON.parse(
        await host.tool("inspect", "--json", "--all-platforms", to),
      );
      assert.equal(inspected.images.length, 2);
      for (const { index, layers } of inspected.images) {
        assert.equal(index.version, 2);
        assert.ok(layers[0].prefetchSpans > 0);
        assert.equal(layers[0].ztoc.xattrsDisabled, true);
      }
      // With prefetch lists and without xattrs lines are at their longest.
      const shown = await host.tool("inspect", "--all-platforms", to);
      assert.match(shown, /fetched first, without xattrs/);
      assert.deepEqual(
        shown.split("\n").filter((line) => line.length > 100),
        [],
      );
      await host.containerd.ctr("images", "rm", "--sync", to, ref);
      await host.containerd.ctr(
        "images",
        "pull",
        "--plain-http",
        "--all-platforms",
        to,
      );
    },
  );
});

Deno.test("with --content-store soci artifacts are kept in an OCI layout of the root", async () => {
  await using host = await ToolsHost.start();
  const image = toolsImage();
  const ref = await host.add("app:1", image);
  const store = ["--content-store", "soci"];
  await host.soci(...store, "create", ...ALL, ref);
  const [index] = digestsIn(await host.soci(...store, "index", "ls", "-q"));
  const blobs = `${host.folder}/root/content/blobs/sha256`;
  assert.ok((await Deno.stat(`${blobs}/${index!.slice(7)}`)).isFile);
  assert.ok(
    !(await host.containerd.ctr("content", "ls", "-q")).includes(index!),
  );
  await host.soci("push", ...store, ref);
  const inspected = JSON.parse(await host.tool("inspect", "--json", ref));
  assert.equal(inspected.images[0].index.digest, index);
  const [ztoc] = digestsIn(
    await host.soci(...store, "ztoc", "ls", "-q", "--image-ref", ref),
  );
  assert.equal(
    await host.soci(...store, "ztoc", "get-file", ztoc!, "etc/hostname"),
    "base\n\n",
  );
  await host.soci(...store, "convert", ...ALL, ref, host.ref("app:soci"));
  await host.soci(...store, "push", "-q", host.ref("app:soci"));
  await host.soci(...store, "index", "rm", index!);
  await assert.rejects(Deno.stat(`${blobs}/${index!.slice(7)}`));
  await host.soci(...store, "rebuild-db");
  const left = JSON.parse(await host.soci(...store, "index", "ls", "--json"));
  assert.deepEqual(left.map((row: { version: string }) => row.version), ["v2"]);
  // In place of the image itself.
  await host.soci(...store, "convert", ...ALL, ref, ref);
  const listed = await host.containerd.ctr("images", "ls");
  const line = listed.split("\n").find((one) => one.startsWith(`${ref} `))!;
  assert.ok(!line.includes(image.digest), line);
});

Deno.test("a program named soci is the existing tool", async () => {
  const folder = await Deno.makeTempDir();
  const { program, args } = await sociDenoNamed(folder, "soci");
  const named = await tryRun(program, [...args, "index", "--help"]);
  await Deno.remove(folder, { recursive: true });
  assert.equal(named.code, 0, named.stderr);
  assert.match(named.stdout, /^Usage: soci index <command>/m);
});

Deno.test("under the existing tool's name every failure exits with 1 and one line", async () => {
  await using host = await ToolsHost.start();
  for (
    const [line, words] of [
      [["create"], /source image needs to be specified/],
      [["create", "no.such/image:1"], /image "no.such\/image:1": not found/],
      [
        ["create", "-p", "linux/s390x", await host.add("app:1", toolsIndex())],
        /image manifest for linux\/s390x: not found/,
      ],
      [["create", "--optimizations", "speed", "a/b:1"], /"speed" is not xattr/],
      [["index", "info", "nonsense"], /no sha256 digest/],
      [["--content-store", "floor", "index", "ls"], /--content-store/],
      [["--timeout", "soon", "index", "ls"], /no duration/],
      [["push", host.ref("app:1")], /could not find any soci index/],
    ] as const
  ) {
    const { code, stderr, stdout } = await host.trySoci(...line);
    assert.equal(code, 1, line.join(" "));
    assert.match(stderr, words);
    assert.match(stderr, /^soci[: ]/);
    assert.equal(stderr.trim().split("\n").length, 1, stderr);
    assert.equal(stdout, "");
  }
  const gone = await host.trySoci(
    "-a",
    `${host.folder}/none.sock`,
    "create",
    "a/b:1",
  );
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /none\.sock: UNAVAILABLE/);
});
