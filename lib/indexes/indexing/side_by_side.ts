/**
 * Runs `work` several times side by side. The first failure aborts `stop`; all have ended when this
 * returns, so that nobody writes after the caller has cleaned up.
 * @param count at least one runs, whatever is asked for.
 * @throws the first failure, or the reason for which `stop` was aborted.
 */
export async function sideBySide(
  count: number,
  stop: AbortController,
  work: () => Promise<void>,
): Promise<void> {
  const workers = Array.from(
    { length: Math.max(1, count) },
    () =>
      work().catch((error) => {
        stop.abort(error);
        throw error;
      }),
  );
  const ends = await Promise.allSettled(workers);
  const failure = ends.find((end) => end.status === "rejected");
  if (failure !== undefined) throw stop.signal.reason ?? failure.reason;
}
