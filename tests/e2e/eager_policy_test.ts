/** How single images are taken: by a pattern, by a label, by what a start costs. */
import assert from "node:assert/strict";
import { pause } from "../support/host/mod.ts";
import { erofsRefusal } from "../support/erofs/mod.ts";
import {
  addBusybox,
  incompressible,
  layerBlob,
  makeImage,
  pushImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { startRegistry } from "../support/registry/mod.ts";
import { testUnless } from "../support/test_unless.ts";
import type { DaemonStatus } from "../../cmd/daemon_status.ts";
import { pushIndexed, ztocOfBlob } from "./forged.ts";
import { LazyHost, sociDeno } from "./host.ts";

const CONFIG = `
[background_fetch]
disable = true
[eager]
labels = ["**/labelled-*"]
[eager.policies]
"**/whole" = "eager"
"**/completed" = "complete"
"**/chosen" = "auto"
`;
const refusal = await erofsRefusal();

async function statusOf(host: LazyHost): Promise<DaemonStatus> {
  const { code, stdout, stderr } = await sociDeno(
    ...["status", "--json", "--root", host.root],
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

/** The layers of an image that are served. */
function layersOf({ images = [], layers }: DaemonStatus, name: string) {
  const image = images.find((one) => one.name === name);
  assert.ok(image !== undefined, `${name} is served`);
  return layers.filter(({ slot }) => image.slots.includes(slot));
}

testUnless(refusal, {
  name:
    "patterns, labels and costs say how an image is taken; status and inspect tell",
  async fn() {
    await using registry = startRegistry();
    const busybox = layerBlob(addBusybox(new TarBuilder()));
    // No two images have a chain in common: containerd would have it from the first.
    const layersFor = (repository: string) => [
      layerBlob(
        new TarBuilder().file(repository, incompressible(1_000_000, 3)),
      ),
      busybox,
    ];
    const indexed = (repository: string) =>
      pushIndexed(
        registry,
        repository,
        layersFor(repository).map((layer) => ({
          layer,
          ztoc: ztocOfBlob(layer.bytes),
        })),
      ).name;
    await using host = await LazyHost.start({ config: CONFIG });
    const pull = async (image: string, ...flags: string[]) => {
      const { layers } = await host.pull(image, "default", flags);
      return layers.map(({ outcome }) => outcome);
    };
    const served = ["served", "served"];
    const names = {
      plain: indexed("plain"),
      whole: indexed("whole"),
      completed: indexed("completed"),
      chosen: indexed("chosen"),
      said: indexed("labelled-when-pulled"),
    };
    // They have no index, and say how they want to be taken.
    const own = (repository: string) =>
      makeImage({
        layers: layersFor(repository),
        config: { labels: { "soci-deno.policy": "eager" } },
      });
    const heard = `${registry.host}/labelled-itself:1`;
    const deaf = `${registry.host}/not-heard:1`;
    await pushImage(registry.host, "labelled-itself:1", own("heard"));
    await pushImage(registry.host, "not-heard:1", own("deaf"));
    for (const name of Object.values(names)) {
      const flags = name === names.said ? ["--policy", "eager"] : [];
      assert.deepEqual(await pull(name, ...flags), served, name);
    }
    assert.deepEqual(await pull(heard), served);
    assert.deepEqual(await pull(deaf), ["unpacked", "unpacked"]);

    const status = await statusOf(host);
    const isWhole = (name: string) =>
      layersOf(status, name).map(({ whole }) => whole);
    assert.deepEqual(isWhole(names.plain), [false, false]);
    assert.deepEqual(isWhole(names.completed), [false, false]);
    for (const name of [names.whole, names.chosen, names.said, heard]) {
      assert.deepEqual(isWhole(name), [true, true], name);
    }
    const told = Object.fromEntries(
      (status.policies ?? []).map(({ image, policy, from, taken }) => [
        image,
        `${policy} ${from} ${taken}`,
      ]),
    );
    assert.deepEqual(told, {
      [names.whole]: "eager pattern whole",
      [names.completed]: "complete pattern lazily",
      [names.chosen]: "auto pattern whole",
      [names.said]: "eager snapshot label whole",
      [heard]: "eager image label whole",
    });
    const text = await sociDeno("status", "--root", host.root);
    assert.match(text.stdout, /policy: .*chosen:1: auto, by a pattern: whole/);

    // Nobody reads it, and nothing else is filled.
    for (let tries = 0;; tries++) {
      const now = await statusOf(host);
      const isHere = (name: string) =>
        layersOf(now, name).every(({ cachedBytes, dataBytes }) =>
          cachedBytes === dataBytes
        );
      if (isHere(names.completed)) {
        assert.ok(!isHere(names.plain), "what has no policy stays lazy");
        break;
      }
      assert.ok(tries < 200, `it is completed\n${host.logs()}`);
      await pause(200);
    }

    const file = `${host.folder}/config.toml`;
    const inspect = await sociDeno(
      ...["inspect", "--config", file, ...host.registryFlags, names.chosen],
    );
    assert.match(
      inspect.stdout,
      /policy +auto, by a pattern: whole, as a start takes .* whole, .* lazily/,
      inspect.stderr,
    );
  },
});
