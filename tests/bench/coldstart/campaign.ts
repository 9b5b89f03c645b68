/** Starts of images by several ways over several lines, in turns. @module */
import { CommandError } from "../../support/host/mod.ts";
import { type Link, throttle } from "../../support/link/mod.ts";
import { type Contestant } from "./contestants.ts";
import { describeLine, type Line } from "./lines.ts";
import { measureStart } from "./measure.ts";
import { type Needs, needsOf } from "./needs.ts";
import type { ImageFacts, Measured } from "./outcome.ts";
import type { BenchRegistry, Publication, Published } from "./registry.ts";
import { NeededBytes } from "./useful.ts";
import type { Name } from "./workloads.ts";

/** What is measured. */
export interface Choice {
  readonly images: readonly Name[];
  readonly lines: readonly Line[];
  readonly contestants: readonly Contestant[];
  readonly rounds: number;
  /** Whether a job that reads most of the image follows the first start of each. */
  readonly job: boolean;
  /** Find out anew what starts need. */
  readonly needs: boolean;
}

interface Ready {
  readonly name: Name;
  readonly needs: Needs;
  readonly facts: ImageFacts;
  readonly published: ReadonlyMap<Publication, Published>;
  readonly useful: ReadonlyMap<Publication, Useful>;
}

/** What a start can use of what was published. */
interface Useful {
  /** Of the layers: the spans that it reads of; null where there are no spans. */
  readonly spanBytes: number | null;
  /** Of the pack, 0 to 1. */
  readonly packShare: number;
}

/** Measures all of it. Tells of each start as it comes. */
export async function measureAll(
  registry: BenchRegistry,
  choice: Choice,
): Promise<{ images: ImageFacts[]; found: Measured[] }> {
  const images: Ready[] = [];
  for (const name of choice.images) {
    images.push(await makeReady(registry, name, choice));
  }
  const found: Measured[] = [];
  for (const line of choice.lines) {
    await using link = line.limits === null
      ? null
      : await throttle(registry.host, line.limits);
    for (const image of images) {
      for (let round = 0; round < choice.rounds; round++) {
        for (const contestant of choice.contestants) {
          if (!image.published.has(contestant.publication)) continue;
          const job = choice.job && round === 0;
          const one = await measureOne(
            registry,
            { line, link, image, contestant, job },
          );
          found.push(one);
          tell(line, contestant, one);
        }
      }
    }
  }
  return { images: images.map(({ facts }) => facts), found };
}

async function makeReady(
  registry: BenchRegistry,
  name: Name,
  { contestants, needs: again }: Choice,
): Promise<Ready> {
  const published = new Map<Publication, Published>();
  const useful = new Map<Publication, Useful>();
  const publications = new Set(contestants.map((it) => it.publication));
  for (const publication of publications) {
    try {
      published.set(publication, await registry.publish(name, publication));
    } catch (error) {
      // Another project's program cannot convert this image: that is no reason to measure nothing.
      if (publication !== "stargz" || !(error instanceof CommandError)) {
        throw error;
      }
      console.log(`left out: ${name} for ${publication}: ${error.message}`);
    }
  }
  const any = [...published.values()][0]!;
  const needs = await needsOf(registry, name, any, { again });
  for (const [publication, one] of published) {
    const needed = new NeededBytes(
      needs,
      await registry.blobs(one, one.ztocs),
    );
    const [plan] = await registry.blobs(one, [one.plan]);
    useful.set(publication, {
      spanBytes: needed.spanBytes,
      packShare: plan ? needed.shareOf(plan, one.layers) : 1,
    });
  }
  return {
    ...{ name, needs, published, useful },
    facts: {
      name,
      layers: any.ztocs.length,
      sizeBytes: any.sizeBytes,
      floorMs: needs.floorMs,
      neededFiles: needs.files.length,
      neededBytes: needs.bytes,
      neededPackedBytes: needs.packedBytes,
    },
  };
}

async function measureOne(
  registry: BenchRegistry,
  { line, link, image, contestant, job }: {
    line: Line;
    link: Link | null;
    image: Ready;
    contestant: Contestant;
    job: boolean;
  },
): Promise<Measured> {
  const { name, published } = image;
  const { publication } = contestant;
  const start = await measureStart(registry, contestant, {
    ...{ name, link, job },
    published: published.get(publication)!,
  });
  const { spanBytes, packShare } = image.useful.get(publication)!;
  const { layer, pack } = start.traffic;
  const isKnown = start.cpuMs !== null && spanBytes !== null;
  return {
    ...{ line: line.name, image: name, way: contestant.name, start },
    unread: isKnown
      ? {
        spanBytes: Math.max(0, (layer?.bytes ?? 0) - spanBytes),
        packBytes: (pack?.bytes ?? 0) * (1 - packShare),
      }
      : null,
  };
}

function tell(line: Line, { title }: Contestant, { image, start }: Measured) {
  console.log(
    `${describeLine(line)}, ${image}, ${title}: ${
      (start.totalMs / 1000).toFixed(2)
    } s, ${(start.bytes / 1e6).toFixed(1)} MB`,
  );
}
