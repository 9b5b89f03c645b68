/** The existing tool beside ours, on one host: the same words, and each reads what the other made. @module */
import assert from "node:assert/strict";
import {
  type PeerDaemon,
  sociPeer,
  startSociPeer,
  testOnDebian,
} from "../support/peer/mod.ts";
import {
  layerBlob,
  makeImage,
  oddImage,
  TarBuilder,
} from "../support/images/mod.ts";
import { digestsIn, sortedLines, ToolsHost } from "./tools_host.ts";

const ALL = ["--min-layer-size", "100", "--span-size", "524288"];
const STORE = ["--content-store", "soci"];

/** Odd layers, one of a format that cannot be indexed, and one that is too small. */
function peerImage() {
  const odd = oddImage();
  return makeImage({
    layers: [
      ...odd.layers,
      layerBlob(new TarBuilder().file("z", "z".repeat(5000)), {
        compression: "none",
      }),
      layerBlob(new TarBuilder().file("s", "s")),
    ],
  });
}

/** Ztoc digests differ by the version each tool writes into it. */
const withoutZtocs = (lines: string[]) =>
  lines.map((line) => line.replace(/-> ztoc sha256:\w+/, "-> ztoc *"));

/** What a ztoc holds, but for what names the tool. */
function ztocFacts(json: string) {
  const { build_tool: _tool, ...facts } = JSON.parse(json);
  return facts;
}

testOnDebian(
  "the existing tool and ours say the same and read each other's artifacts",
  async (t) => {
    const found = await sociPeer();
    assert.ok("soci" in found, JSON.stringify(found));
    await using host = await ToolsHost.start();
    await using peer: PeerDaemon = await startSociPeer(found);
    const ref = await host.add("odd:1", peerImage());
    const theirs = (...args: string[]) =>
      peer.soci(host.containerd, ...STORE, ...args);
    const ours = (...args: string[]) => host.soci(...STORE, ...args);
    /** Our commands on their store. */
    const onTheirs = (...args: string[]) =>
      host.soci("--root", `${peer.folder}/cli`, ...STORE, ...args);

    await t.step("create says the same of every layer", async () => {
      assert.deepEqual(
        withoutZtocs(sortedLines(await ours("create", ...ALL, ref))),
        withoutZtocs(sortedLines(await theirs("create", ...ALL, ref))),
      );
    });

    await t.step("ztocs of the same layers hold the same", async () => {
      const byLayer = (list: string) => {
        const digests = digestsIn(list);
        return new Map(
          digests.flatMap((digest, i) =>
            i % 2 === 1 ? [[digest, digests[i - 1]!]] : []
          ),
        );
      };
      const [a, b] = [
        byLayer(await ours("ztoc", "list")),
        byLayer(await theirs("ztoc", "list")),
      ];
      assert.deepEqual([...a.keys()].sort(), [...b.keys()].sort());
      assert.equal(a.size, 4);
      for (const [layer, ztoc] of a) {
        assert.deepEqual(
          ztocFacts(await ours("ztoc", "info", ztoc)),
          ztocFacts(await theirs("ztoc", "info", b.get(layer)!)),
          layer,
        );
      }
    });

    await t.step("we list, print and use what they made", async () => {
      await onTheirs("rebuild-db");
      const [index] = digestsIn(await theirs("index", "list", "-q"));
      assert.deepEqual(digestsIn(await onTheirs("index", "list", "-q")), [
        index,
      ]);
      assert.ok((await onTheirs("index", "list")).includes(ref));
      assert.deepEqual(
        JSON.parse(await onTheirs("index", "info", index!)),
        JSON.parse(await theirs("index", "info", index!)),
      );
      const named = ["ztoc", "list", "-q", "--image-ref", ref];
      const ztocs = digestsIn(await onTheirs(...named));
      // Newer releases of the tool list them in the order of the layers, as we do.
      assert.deepEqual(
        ztocs.toSorted(),
        digestsIn(await theirs(...named)).sort(),
      );
      for (const ztoc of ztocs) {
        assert.equal(
          (await onTheirs("ztoc", "info", ztoc)).trim(),
          (await theirs("ztoc", "info", ztoc)).trim(),
        );
      }
      for (const file of ["etc/passwd", "bin/busybox"]) {
        const out = `${host.folder}/file`;
        const peerOut = `${host.folder}/peer-file`;
        await onTheirs("ztoc", "get-file", "-o", out, ztocs[0]!, file);
        await theirs("ztoc", "get-file", "-o", peerOut, ztocs[0]!, file);
        assert.deepEqual(
          await Deno.readFile(out),
          await Deno.readFile(peerOut),
        );
      }
    });

    await t.step(
      "they list and print what we made in their store",
      async () => {
        await onTheirs("create", "--force", ...ALL, ref);
        const [index] = digestsIn(await ours("index", "list", "-q"));
        assert.ok(
          digestsIn(await onTheirs("index", "list", "-q")).includes(index!),
        );
        await theirs("rebuild-db");
        assert.ok(
          digestsIn(await theirs("index", "list", "-q")).includes(index!),
        );
        const [ztoc] = digestsIn(
          await ours("ztoc", "list", "-q", "--image-ref", ref),
        );
        assert.deepEqual(
          ztocFacts(await theirs("ztoc", "info", ztoc!)),
          ztocFacts(await ours("ztoc", "info", ztoc!)),
        );
      },
    );

    await t.step(
      "they see in the registry what we pushed, and we what they pushed",
      async () => {
        const ourPush = await ours("push", ref);
        const [index] = digestsIn(ourPush);
        const skipped = await theirs(
          ...["push", "--plain-http", "--existing-index", "skip", ref],
        );
        assert.ok(
          skipped.includes(
            `soci index found in remote repository with digest: ${index}`,
          ),
          skipped,
        );
        await theirs("push", "--plain-http", "--existing-index", "allow", ref);
        const again = await ours("push", "--existing-index", "skip", ref);
        assert.match(again, /skipping pushing artifacts for image manifest/);
      },
    );
  },
);
