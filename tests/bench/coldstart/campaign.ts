/** Starts of images by several ways over several lines, in turns. @module */
import { type Link, throttle } from "../../support/link/mod.ts";
import { type Contestant } from "./contestants.ts";
import { describeLine, type Line } from "./lines.ts";
import { measureStart } from "./measure.ts";
import { type Needs, needsOf } from "./needs.ts";
import type { ImageFacts, Measured } from "./outcome.ts";
import type { BenchRegistry, Publication, Published } from "./registry.ts";
import { neededSpanBytes } from "./useful.ts";
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
  /** Bytes of spans that a start reads of, by publication. */
  readonly neededSpans: ReadonlyMap<Publication, number>;
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
  const neededSpans = new Map<Publication, number>();
  const publications = new Set(contestants.map((it) => it.publication));
  for (const publication of publications) {
    published.set(publication, await registry.publish(name, publication));
  }
  const any = [...published.values()][0]!;
  const needs = await needsOf(registry, name, any, { again });
  for (const [publication, one] of published) {
    const ztocs = await registry.ztocs(one);
    neededSpans.set(publication, neededSpanBytes(needs, ztocs));
  }
  return {
    ...{ name, needs, published, neededSpans },
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
  const { name, published, neededSpans } = image;
  const { publication } = contestant;
  const start = await measureStart(registry, contestant, {
    ...{ name, link, job },
    published: published.get(publication)!,
  });
  const fetched = start.traffic.layer?.bytes ?? 0;
  return {
    ...{ line: line.name, image: name, way: contestant.name, start },
    unreadBytes: start.cpuMs === null
      ? null
      : Math.max(0, fetched - neededSpans.get(publication)!),
  };
}

function tell(line: Line, { title }: Contestant, { image, start }: Measured) {
  console.log(
    `${describeLine(line)}, ${image}, ${title}: ${
      (start.totalMs / 1000).toFixed(2)
    } s, ${(start.bytes / 1e6).toFixed(1)} MB`,
  );
}
