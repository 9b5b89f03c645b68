/**
 * What all benchmarks share: their cache folder, commands, rounds and tables. A benchmark always
 * measures a peer in the same run, in turns with ours, and its results are ratios: they stay
 * comparable between machines, and while something else runs.
 * @module
 */

const decoder = new TextDecoder();

/** Folder for inputs that take long to make; kept between runs. */
export function cacheFolder(): string {
  const folder = Deno.env.get("SOCI_DENO_BENCH_DIR") ??
    `${Deno.env.get("TMPDIR") ?? "/tmp"}/soci-deno-bench`;
  Deno.mkdirSync(folder, { recursive: true });
  return folder;
}

/** Whether that path exists. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs a command to its end and returns its standard output, followed by its standard error when
 * that is wanted too. @throws Error when it fails.
 */
export async function run(
  program: string,
  args: readonly string[],
  { stderrToo = false, ...options }: {
    env?: Record<string, string>;
    cwd?: string;
    stderrToo?: boolean;
  } = {},
): Promise<string> {
  const { success, code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    ...options,
  }).output();
  if (!success) {
    throw new Error(
      `${program} ${args.join(" ")} ended with ${code}: ${
        decoder.decode(stderr).slice(-2000)
      }${decoder.decode(stdout).slice(-500)}`,
    );
  }
  const text = decoder.decode(stdout);
  return stderrToo ? text + decoder.decode(stderr) : text;
}

/** Milliseconds `work` took, and what it gave. */
export async function timed<T>(
  work: () => T | Promise<T>,
): Promise<{ ms: number; value: T }> {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}

/** The middle one. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle] as number
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/**
 * Paths of files and symbolic links below `root`, in a stable order, those of a folder before those
 * of its folders, until they add up to `bytes`.
 */
export function someFiles(root: string, bytes: number): string[] {
  const found: string[] = [];
  let total = 0;
  const walk = (folder: string): void => {
    const entries = [...Deno.readDirSync(folder)];
    entries.sort((a, b) =>
      Number(a.isDirectory) - Number(b.isDirectory) ||
      (a.name < b.name ? -1 : 1)
    );
    for (const { name, isDirectory, isFile, isSymlink } of entries) {
      if (total >= bytes) return;
      const path = `${folder}/${name}`;
      if (isDirectory) walk(path);
      else if (isFile || isSymlink) {
        total += Deno.lstatSync(path).size;
        found.push(path);
      }
    }
  };
  walk(root);
  return found;
}

/** A figure of `/proc/PID/status`, MB. @throws Deno.errors.NotFound when the process is gone */
function statusMb(pid: number, name: string): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  const kib = new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0;
  return Number(kib) * 1024 / 1e6;
}

/** Resident memory of a process, MB. @throws Deno.errors.NotFound when it is gone */
export function residentMb(pid: number): number {
  return statusMb(pid, "VmRSS");
}

/** What a process's resident memory is made of, MB: its own, and pages of files the kernel can drop. */
export function residentParts(pid: number): { ownMb: number; fileMb: number } {
  return { ownMb: statusMb(pid, "RssAnon"), fileMb: statusMb(pid, "RssFile") };
}

/** Prints a table with a title; numbers to the right. */
export function printTable(
  title: string,
  columns: readonly string[],
  rows: ReadonlyArray<readonly string[]>,
): void {
  const widths = columns.map((column, i) =>
    Math.max(column.length, ...rows.map((row) => (row[i] ?? "").length))
  );
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) =>
      i === 0
        ? cell.padEnd(widths[i] as number)
        : cell.padStart(widths[i] as number)
    ).join("  ");
  console.log(`\n${title}`);
  console.log(line(columns));
  console.log(widths.map((width) => "-".repeat(width)).join("  "));
  for (const row of rows) console.log(line(row));
}

/** On what kind of machine figures arise, and how busy it is. */
export function describeMachine(): string {
  const [load] = Deno.loadavg();
  return `Deno ${Deno.version.deno}, kernel ${Deno.osRelease()}, ` +
    `${navigator.hardwareConcurrency} cores, load ${
      (load as number).toFixed(1)
    } at the start`;
}

/** Says once on what kind of machine the figures arose. */
export function printMachine(): void {
  console.log(describeMachine());
}
