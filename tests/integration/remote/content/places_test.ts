import {
  ArchiveWriter,
  ContainerdPlace,
  LayoutFolder,
  openLocalImage,
  RegistryPlace,
} from "../../../../lib/remote/content/mod.ts";
import {
  connectContainerd,
  isRpcError,
} from "../../../../lib/remote/containerd/mod.ts";
import {
  parseReference,
  RegistryClient,
  RegistryError,
} from "../../../../lib/remote/registry/mod.ts";
import {
  type Containerd,
  run,
  startContainerd,
  startDockerRegistry,
} from "../../../support/host/mod.ts";
import { pushImage, writeLayout } from "../../../support/images/mod.ts";
import { startRegistry } from "../../../support/registry/mod.ts";
import { SAMPLE, sinkSuite, sourceSuite } from "./contract.ts";

/** A folder that goes with the test. */
async function tempFolder() {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-places-" });
  return {
    folder,
    async [Symbol.asyncDispose]() {
      await Deno.remove(folder, { recursive: true });
    },
  };
}

async function packLayout(folder: string, archive: string): Promise<void> {
  await run("tar", ["cf", archive, "-C", folder, "."]);
}

// containerd is slow to start, and places do not disturb each other in namespaces of their own.
let shared: Containerd | null = null;
let namespaces = 0;

async function openContainerd() {
  shared ??= await startContainerd();
  const namespace = `places-${namespaces++}`;
  return await connectContainerd(shared.address, { namespace });
}

Deno.test.afterAll(async () => {
  await shared?.close();
});

sourceSuite("OCI layout folder", async () => {
  const { folder, ...temp } = await tempFolder();
  await writeLayout(folder, SAMPLE);
  return { source: await openLocalImage(folder), ...temp };
});

sourceSuite("OCI archive", async () => {
  const { folder, ...temp } = await tempFolder();
  await writeLayout(`${folder}/layout`, SAMPLE);
  await packLayout(`${folder}/layout`, `${folder}/a.tar`);
  return { source: await openLocalImage(`${folder}/a.tar`), ...temp };
});

// Docker 25 and newer add their own lists to a layout.
sourceSuite("docker-save archive with a layout", async () => {
  const { folder, ...temp } = await tempFolder();
  await writeLayout(`${folder}/layout`, SAMPLE);
  await Deno.writeTextFile(`${folder}/layout/manifest.json`, "[]");
  await Deno.writeTextFile(`${folder}/layout/repositories`, "{}");
  await packLayout(`${folder}/layout`, `${folder}/save.tar`);
  return { source: await openLocalImage(`${folder}/save.tar`), ...temp };
});

sourceSuite("embedded registry", async () => {
  const registry = startRegistry();
  const client = new RegistryClient({ retry: { retries: 0 } });
  await pushImage(registry.host, "a/b:1", SAMPLE);
  const reference = parseReference(`${registry.host}/a/b:1`);
  return {
    source: new RegistryPlace(client, reference),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await registry[Symbol.asyncDispose]();
    },
  };
});

sourceSuite("docker-registry", async () => {
  const registry = await startDockerRegistry();
  const client = new RegistryClient();
  await pushImage(registry.host, "a/b:1", SAMPLE);
  const reference = parseReference(`${registry.host}/a/b:1`);
  return {
    source: new RegistryPlace(client, reference),
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await registry.close();
    },
  };
});

sinkSuite("OCI layout folder", async () => {
  const { folder, ...temp } = await tempFolder();
  const layout = await LayoutFolder.create(folder);
  return {
    sink: layout,
    read: () => LayoutFolder.open(folder),
    named: (name) =>
      openLocalImage(folder, { name }).then((image) => image.image()),
    checks: "at once",
    ...temp,
  };
});

sinkSuite("OCI archive", async () => {
  const { folder, ...temp } = await tempFolder();
  const archive = new ArchiveWriter(`${folder}/a.tar`);
  return {
    sink: archive,
    async read() {
      await archive.finish();
      return await openLocalImage(`${folder}/a.tar`);
    },
    named: (name) =>
      openLocalImage(`${folder}/a.tar`, { name }).then((one) => one.image()),
    checks: "when finished",
    ...temp,
  };
});

for (const kind of ["embedded registry", "docker-registry"] as const) {
  sinkSuite(kind, async () => {
    const registry = kind === "docker-registry"
      ? await startDockerRegistry()
      : startRegistry();
    const client = new RegistryClient({ retry: { retries: 1 } });
    const reference = parseReference(`${registry.host}/a/b:latest`);
    const place = new RegistryPlace(client, reference);
    return {
      sink: place,
      read: () => Promise.resolve(place),
      async named(name) {
        try {
          return await client.resolve(reference.withTag(name));
        } catch (error) {
          if (error instanceof RegistryError) return null;
          throw error;
        }
      },
      checks: "at once",
      async [Symbol.asyncDispose]() {
        client[Symbol.dispose]();
        await registry[Symbol.asyncDispose]();
      },
    };
  });
}

sinkSuite("containerd", async () => {
  const containerd = await openContainerd();
  const place = new ContainerdPlace(containerd, "latest");
  return {
    sink: place,
    read: () => Promise.resolve(place),
    async named(name) {
      try {
        return (await containerd.images.get(name)).target;
      } catch (error) {
        if (isRpcError(error, "NOT_FOUND")) return null;
        throw error;
      }
    },
    checks: "at once",
    async [Symbol.asyncDispose]() {
      await place[Symbol.asyncDispose]();
      containerd.close();
    },
  };
});
