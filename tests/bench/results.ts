/**
 * Keeps what a benchmark found: one JSON file a run in `tests/bench/results` (not in git), with what
 * is needed to compare it with another run.
 * @module
 */

/**
 * Writes a run's results.
 * @param bench the benchmark's name, first part of the file's.
 * @returns the file's path.
 */
export function saveResults(
  bench: string,
  results: Readonly<Record<string, unknown>>,
): string {
  const folder = new URL("results/", import.meta.url).pathname;
  Deno.mkdirSync(folder, { recursive: true });
  const at = new Date().toISOString();
  const path = `${folder}${bench}-${at.slice(0, 19).replaceAll(":", "")}.json`;
  const machine = {
    deno: Deno.version.deno,
    kernel: Deno.osRelease(),
    cores: navigator.hardwareConcurrency,
    load: Deno.loadavg(),
  };
  Deno.writeTextFileSync(
    path,
    JSON.stringify({ bench, at, machine, ...results }, null, 2) + "\n",
  );
  return path;
}
