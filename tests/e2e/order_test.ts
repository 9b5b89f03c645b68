import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import type { Descriptor, Digest } from "../../lib/formats/oci/mod.ts";
import { SOCI_MEDIA } from "../../lib/formats/soci/mod.ts";
import {
  decodeOrderManifest,
  decodePlan,
  decodeRecording,
  ORDER_MEDIA,
  rangesOfFrame,
  type Recording,
  unpackFrame,
} from "../../lib/formats/order/mod.ts";
import { Intervals } from "../../lib/images/order/intervals.ts";
import {
  type Image,
  layerBlob,
  makeImage,
  programImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { SCRIPT } from "../support/images/program.ts";
import { startRegistry, type TestRegistry } from "../support/registry/mod.ts";
import { pause } from "../support/host/mod.ts";
import { buildIndex, LazyHost, sociDeno } from "./host.ts";

/** Starts are recorded by the daemon itself, too. */
const CONFIG = `
[pull_modes.soci_v1]
enable = true
[background_fetch]
disable = true
[recording]
images = ["*/app"]
idle_sec = 1
`;

/** The recording that the daemon made of the one start it saw. */
async function ownRecording(host: LazyHost): Promise<Recording> {
  const folder = `${host.root}/recordings`;
  for (let tries = 0; tries < 200; tries++) {
    const [file] = await Array.fromAsync(Deno.readDir(folder)).catch(() => []);
    if (file?.name.endsWith(".recording.json")) {
      return decodeRecording(await Deno.readFile(`${folder}/${file.name}`));
    }
    await pause(100);
  }
  throw new Error(`no start was recorded\n${host.logs()}`);
}

/** Runs `record`; what it wrote. */
async function record(
  host: LazyHost,
  image: string,
  output: string,
  ...flags: string[]
): Promise<Recording> {
  const { code, stderr } = await sociDeno(
    ...["record", "--until-exit", "--output", output],
    ...["--address", host.containerd.address, "--root", host.root],
    ...flags,
    image,
  );
  assert.equal(code, 0, `${stderr}\n${host.logs()}`);
  return decodeRecording(await Deno.readFile(output));
}

/** Bytes that one recording touched and another did not, and all it touched. */
function uncovered(
  by: Recording,
  of: Recording,
): [missing: number, all: number] {
  const seen = new Map(by.layers.map((layer) => [layer, new Intervals()]));
  for (const { layer, offset, length } of by.touches) {
    seen.get(by.layers[layer]!)!.add(offset, offset + length);
  }
  let [missing, all] = [0, 0];
  for (const { layer, offset, length } of of.touches) {
    all += length;
    missing += length -
      (seen.get(of.layers[layer]!)?.covered(offset, offset + length) ?? 0);
  }
  return [missing, all];
}

/** Runs a command that must succeed; what it printed. */
async function order(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await sociDeno("order", ...args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** What `order push` put into the registry is the image's own bytes. */
async function checkPushed(
  registry: TestRegistry,
  image: string,
  app: Image,
): Promise<Digest> {
  const [listed, ...others] = JSON.parse(await order("list", "--json", image));
  assert.equal(others.length, 0);
  assert.equal(listed.workload, "web");
  assert.equal(listed.platform, "linux/amd64");
  assert.equal(listed.isPinned, false);
  const base = `http://${registry.host}/v2/app`;
  const get = async (path: string) =>
    await (await fetch(`${base}/${path}`)).bytes();
  const manifest = decodeOrderManifest(await get(`manifests/${listed.digest}`));
  const plan = decodePlan(await get(`blobs/${manifest.plan.digest}`));
  const pack = await get(`blobs/${manifest.packs[0]!.digest}`);
  assert.equal(pack.length, listed.packBytes);
  const tars = new Map(
    app.layers.map(({ digest, bytes }) => [digest, gunzipSync(bytes)] as const),
  );
  for (const frame of plan.frames) {
    const end = frame.offset + frame.compressedLength;
    const content = unpackFrame(frame, pack.subarray(frame.offset, end));
    for (
      const { layer, offset, bytes } of rangesOfFrame(plan, frame, content)
    ) {
      const own = tars.get(layer)!.subarray(offset, offset + bytes.length);
      assert(own.equals(bytes), `${layer} at ${offset}`);
    }
  }
  return listed.digest;
}

Deno.test("a start is recorded page by page on both faces, and its order is published and pinned", async (t) => {
  await using registry = startRegistry();
  const app = programImage();
  await pushImage(registry.host, "app:1", app);
  const image = `${registry.host}/app:1`;
  await buildIndex("--min-layer-size", "0", image);
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-order-" });
  const files = (["fuse", "erofs"] as const).map((face) => ({
    face,
    path: `${folder}/${face}.json`,
  }));
  const recorded: Recording[] = [];
  for (const { face, path } of files) {
    await t.step(face, async () => {
      await using host = await LazyHost.start({ face, config: CONFIG });
      const one = await record(host, image, path);
      recorded.push(one);
      assert.equal(one.layers.length, 4);
      assert(one.touches.some(({ waitedMs }) => waitedMs > 0));
      const pages = one.touches.filter(({ length }) => length <= 4096);
      assert(pages.length > one.touches.length * 0.8, "read ahead");
      const own = await ownRecording(host);
      assert.equal(own.image, image);
      const learned = ["--learned", "--root", host.root, "--no-pack"];
      const pushed = JSON.parse(
        await order("push", "--json", ...learned, image),
      );
      assert.equal(pushed.packBytes, 0);
      assert(pushed.bytes >= one.touches.length * 4096 * 0.9);
      await order("remove", "--workload", "default", image);
      const [missing, all] = uncovered(own, one);
      assert(missing <= all / 100, `${missing} of ${all} bytes`);
    });
  }
  await t.step("what one start read covers what the other read", () => {
    const [fuse, erofs] = recorded as [Recording, Recording];
    const [missing, all] = uncovered(erofs, fuse);
    assert(all > 2 ** 20, `little was read: ${all} bytes`);
    assert(missing <= all / 100, `${missing} of ${all} bytes`);
  });
  await t.step("merged, pushed, listed, pushed again and removed", async () => {
    const merged = `${folder}/merged.json`;
    await order(
      "merge",
      "--workload",
      "web",
      "-o",
      merged,
      ...files.map(({ path }) => path),
    );
    await order("push", "--max-size", "2MiB", image, merged);
    const first = await checkPushed(registry, image, app);
    await order("push", "--max-size", "1MiB", image, merged);
    const second = await checkPushed(registry, image, app);
    assert.notEqual(first, second);
    const shown = JSON.parse(
      await order("show", "--json", "--svg", `${folder}/a.svg`, merged),
    );
    assert(
      shown.files.some(({ path }: { path: string }) => path === "app/main.py"),
    );
    assert.match(await Deno.readTextFile(`${folder}/a.svg`), /^<svg /);
    // The same image under another name, as one on that base: no byte is packed again.
    await pushImage(registry.host, "other:1", app);
    const other = `${registry.host}/other:1`;
    await buildIndex("--min-layer-size", "0", other);
    const flags = ["--json", "--max-size", "1MiB", "--share", image];
    const shared = JSON.parse(await order("push", ...flags, other, merged));
    assert.equal(shared.packBytes, 0);
    assert.equal(shared.sharedBytes, shared.bytes);
    assert.equal((await order("remove", image, second)).trim(), second);
    assert.deepEqual(JSON.parse(await order("list", "--json", image)), []);
  });
  await t.step("a new tag has the same file in another layer", async () => {
    const tag = `${registry.host}/app:9`;
    const tar = new TarBuilder().dir("app").file("app/new", "new")
      .file("app/main.py", SCRIPT);
    const other = makeImage({ layers: [layerBlob(tar)] });
    await pushImage(registry.host, "app:9", other);
    await buildIndex("--min-layer-size", "0", tag);
    const pushed = JSON.parse(
      await order("push", "--json", tag, `${folder}/merged.json`),
    );
    assert.equal(pushed.bytes, 512, "the file's one block");
    const digest = await checkPushed(registry, tag, other);
    await order("remove", tag, digest);
  });
  await t.step(
    "a converted image pins it, and lists it among its manifests",
    async () => {
      const copy = `${registry.host}/app:2`;
      const build = ["--min-layer-size", "0", "--to", "2"];
      await buildIndex(
        ...build,
        "--load-order",
        `${folder}/merged.json`,
        image,
      );
      const [listed] = JSON.parse(await order("list", "--json", copy));
      assert.deepEqual([listed.workload, listed.isPinned], ["web", true]);
      const { stderr } = await sociDeno("order", "remove", copy, listed.digest);
      assert.match(stderr, /is pinned by the image's index/);
      const index = await (await fetch(
        `http://${registry.host}/v2/app/manifests/2`,
        { headers: { accept: "application/vnd.oci.image.index.v1+json" } },
      )).json();
      const types = index.manifests.map((one: Descriptor) => one.artifactType);
      assert.deepEqual(types, [
        undefined,
        SOCI_MEDIA.indexV2,
        SOCI_MEDIA.companion,
        ORDER_MEDIA.artifact,
      ]);
      assert.equal(index.manifests[3].digest, listed.digest);
    },
  );
  await Deno.remove(folder, { recursive: true });
});
