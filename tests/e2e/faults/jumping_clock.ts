/**
 * Preloaded into a daemon: its wall clock is off by what the file holds that `SOCI_SNAPSHOTTER_TEST_CLOCK` names, ms. The
 * daemon may read variables that begin so.
 *
 * libfaketime would change it for other code, too. But it holds one lock of all processes around each
 * `stat`, also one of our own FUSE mounts: then whoever has to answer waits for it as well.
 * @module
 */
const file = Deno.env.get("SOCI_SNAPSHOTTER_TEST_CLOCK") ?? "";
const RealDate = Date;
const now = () => RealDate.now() + Number(Deno.readTextFileSync(file));

globalThis.Date = new Proxy(RealDate, {
  construct: (date, args, made) =>
    Reflect.construct(date, args.length === 0 ? [now()] : args, made),
  get: (date, key) => key === "now" ? now : Reflect.get(date, key),
});
