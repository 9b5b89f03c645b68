/**
 * Loaded before the daemon's Worker: its wall clock is off by what the file holds that `SOCI_SNAPSHOTTER_TEST_CLOCK`
 * names, ms. The daemon may read variables that begin so.
 *
 * libfaketime would change it for other code, too. But it holds one lock of all processes around each
 * `stat`, also one of our own FUSE mounts: then whoever has to answer waits for it as well.
 * @module
 */
const file = Deno.env.get("SOCI_SNAPSHOTTER_TEST_CLOCK") ?? "";
const RealDate = Date;
const offMs = () => Number(Deno.readTextFileSync(file));
const now = () => RealDate.now() + offMs();

globalThis.Date = new Proxy(RealDate, {
  construct: (date, args, made) =>
    Reflect.construct(date, args.length === 0 ? [now()] : args, made),
  get: (date, key) => key === "now" ? now : Reflect.get(date, key),
});

// The time with its nanoseconds comes from libc.
const { dlopen } = Deno;
Deno.dlopen = ((path: string, symbols: Deno.ForeignLibraryInterface) => {
  const library = dlopen(path, symbols);
  if (!("clock_gettime" in library.symbols)) return library;
  const real = library.symbols.clock_gettime as (
    clock: number,
    into: Uint8Array,
  ) => number;
  const clock_gettime = (clock: number, into: Uint8Array): number => {
    const result = real(clock, into);
    const view = new DataView(into.buffer, into.byteOffset);
    const offSeconds = BigInt(Math.trunc(offMs() / 1000));
    view.setBigInt64(0, view.getBigInt64(0, true) + offSeconds, true);
    return result;
  };
  return {
    symbols: { ...library.symbols, clock_gettime },
    close: () => library.close(),
  };
}) as typeof Deno.dlopen;
