/**
 * The second node: the first took an image without an index whole and pushed one in passing. A start by that is compared
 * with one by an index that `build-index` made.
 * @module
 */
import { measureStart } from "../coldstart/measure.ts";
import { sociDenoNode } from "../coldstart/nodes.ts";
import type { BenchRegistry, Publication } from "../coldstart/registry.ts";
import type { Name } from "../coldstart/workloads.ts";
import { type Measure, type Sample, WAY } from "./samples.ts";

const WAYS: ReadonlyArray<{ way: string; publication: Publication }> = [
  { way: WAY.built, publication: "built" },
  { way: WAY.passing, publication: "passing" },
];
/** Images of which nodes are measured. */
export const SECOND: readonly Name[] = ["redis", "python"];

/**
 * One lazy start of each, in an order that changes with the round; new daemons with empty folders.
 * @throws Error where a start was none by an index
 */
export async function measureSecond(
  registry: BenchRegistry,
  name: Name,
  round: number,
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (const { way, publication } of round % 2 ? WAYS.toReversed() : WAYS) {
    const published = await registry.publish(name, publication);
    const { totalMs, bytes, cpuMs, traffic } = await measureStart(registry, {
      ...{ name: way, title: way, publication },
      missing: () => Promise.resolve(null),
      node: (stack, caFile) => sociDenoNode(stack, caFile, ""),
    }, { name, published, link: null, job: false });
    if (traffic.ztoc === undefined && traffic.companion === undefined) {
      throw new Error(`${name}, ${way}: no index was used`);
    }
    const add = (measure: Measure, value: number) =>
      samples.push({ measure, subject: name, way, value });
    add("second", totalMs / 1000);
    add("secondCpu", (cpuMs ?? NaN) / 1000);
    add("secondBytes", bytes / 1e6);
  }
  return samples;
}
