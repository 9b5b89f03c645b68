/**
 * `soci-deno copy`: an image with its indexes, from one registry to another.
 * @module
 */
import type { Descriptor } from "../lib/formats/oci/mod.ts";
import { type CopiedImage, copyImage } from "../lib/indexes/indexing/mod.ts";
import { type LayerSource, RegistryPlace } from "../lib/remote/content/mod.ts";
import { parseReference, type Reference } from "../lib/remote/registry/mod.ts";
import {
  type Command,
  formatBytes,
  parseCommandLine,
  UsageError,
} from "./command.ts";
import { SESSION_OPTIONS } from "./flags.ts";
import { Progress } from "./progress.ts";
import {
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  registryClient,
} from "./registry_flags.ts";
import { Session } from "./session.ts";

const HELP = `
Copy an image from one registry or repository to another, with all its platforms and what is beside
it: SOCI indexes (v1 and v2), companions, load orders with their packs. Digests stay, and each is
checked. What DST has already is not sent again; within one registry blobs are mounted.

Usage: soci-deno copy [flags] SRC DST

Flags:
  --all-referrers         everything that names the image: signatures and attestations, too
  --src-user NAME:PASS    log in where SRC is (default: Docker's config.json and its helpers)
  --dst-user NAME:PASS    log in where DST is
  --json                  the result as JSON
  --timeout DURATION      give up after this time, such as 30s or 5m (default: never)
  --debug                 tell each request on stderr
${CONNECTION_HELP}

DST without a tag gets that of SRC. A copy that was interrupted goes on where it stopped.
`;

/** Uploads that run side by side. */
const CONCURRENCY = 4;

/** The \`copy\` subcommand. */
export const copyCommand: Command = {
  help: HELP,
  async run(args) {
    const { values, positionals } = parseCommandLine({
      args,
      allowPositionals: true,
      options: {
        "all-referrers": { type: "boolean", default: false },
        "src-user": { type: "string" },
        "dst-user": { type: "string" },
        json: { type: "boolean", default: false },
        timeout: SESSION_OPTIONS.timeout,
        debug: SESSION_OPTIONS.debug,
        ...CONNECTION_OPTIONS,
      },
    });
    const [src, dst, ...extra] = positionals;
    if (dst === undefined || extra.length > 0) {
      throw new UsageError("say `copy SRC DST`");
    }
    const from = parseReference(src!);
    const to = parseReference(dst);
    const tag = tagOf(dst, from, to);
    await using session = await Session.open(values);
    const { signal } = session;
    using source = registryClient(
      { ...values, user: values["src-user"] },
      from.host,
    );
    using sink = registryClient(
      { ...values, user: values["dst-user"] },
      to.host,
    );
    const place = new RegistryPlace(source, from);
    const there = new RegistryPlace(
      sink,
      to,
      from.host === to.host ? { mountFrom: from.repository } : {},
    );
    const sent = { bytes: 0, blobs: 0 };
    using progress = new Progress();
    const root = await place.image({ signal });
    const copied = await copyImage(root, {
      source: counted(place, progress, sent),
      sink: there,
      concurrency: CONCURRENCY,
      signal,
      referrers: (digest) =>
        source.referrers(from, digest, undefined, { signal }),
      resolve: async (digest) =>
        (await source.manifest(from, { digest, signal })).descriptor,
      beside: values["all-referrers"] ? "all" : "known",
    });
    await there.tag(root, tag, { signal });
    if (values.json) {
      progress.print(
        JSON.stringify({ digest: root.digest, tag, sent, ...copied }, null, 2),
      );
    } else {
      for (const line of describe(`${to}`, root, copied, sent)) {
        progress.print(line);
      }
    }
    return 0;
  },
};

/** The tag that the copy gets; null where it is known by its digest alone. @throws UsageError */
function tagOf(dst: string, from: Reference, to: Reference): string | null {
  if (/@/.test(dst)) {
    throw new UsageError("DST takes a tag and no digest: digests stay");
  }
  // A reference without a tag means `latest`; here it means the tag of SRC.
  const isGiven = /:[^/]*$/.test(dst);
  return isGiven ? to.tag : from.tag;
}

/** A place whose streams are shown and counted. */
function counted(
  place: LayerSource,
  progress: Progress,
  sent: { bytes: number; blobs: number },
): LayerSource {
  return {
    place: place.place,
    has: (content, options) => place.has(content, options),
    bytes: (content, options) => place.bytes(content, options),
    async stream(content, options) {
      const task = progress.task(content.digest.slice(7, 19), content.size);
      sent.blobs++;
      const stream = await place.stream(content, options);
      return stream.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(piece, controller) {
            task.advance(piece.length);
            sent.bytes += piece.length;
            controller.enqueue(piece);
          },
          flush: () => task.finish(),
        }),
      );
    },
  };
}

function describe(
  name: string,
  { digest }: Descriptor,
  { documents, beside, missing }: CopiedImage,
  sent: { readonly bytes: number; readonly blobs: number },
): string[] {
  return [
    `${name} ${digest}`,
    `  ${documents} manifests, ${beside.length} documents beside them`,
    ...beside.map((one) => `  ${one.artifactType} ${one.digest}`),
    ...missing.map((one) => `  ${one} is named, and SRC does not have it`),
    `  sent ${
      formatBytes(sent.bytes)
    } in ${sent.blobs} blobs; the rest was there`,
  ];
}
