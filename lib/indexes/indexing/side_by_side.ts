/**
 * Runs `work` several times concurrently. The first failure aborts `stop`. All runs have ended when this
 * returns, so that none writes after the caller has cleaned up.
 * @param count the number of runs; at least one is started.
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
