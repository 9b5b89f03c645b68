/** Workers that inflate and break down, at once or over a span. */
import assert from "node:assert/strict";
import { InflatePool } from "../../../../lib/layers/spans/mod.ts";
import { BREAKS_AT_ONCE, workersOf } from "../../../support/broken_workers.ts";
import { pause } from "../../../support/host/mod.ts";
import { noiseLayer, readTar, serve } from "./support.ts";

const MODULES = {
  "at each start": BREAKS_AT_ONCE,
  "over each span": "data:text/javascript,self.onmessage = " +
    "({ data }) => { if ('id' in data) throw new Error('a span') }",
};

for (const [how, module] of Object.entries(MODULES)) {
  Deno.test(`Workers that break down ${how} are started a few times, readers get an error, and read on when they work again`, async () => {
    const layer = noiseLayer(4);
    using pool = new InflatePool({ size: 1 });
    await using served = serve(layer, { pool });
    {
      using workers = workersOf(module);
      const ensure = (signal: AbortSignal) =>
        served.reader.ensure(0, 1000, "demand", signal);
      await assert.rejects(ensure(AbortSignal.timeout(20_000)), /Worker: /);
      await pause(1500); // nobody waits
      assert.ok(workers.starts() <= 6, `${workers.starts()} starts`);
      // Whoever gives up need not wait for the next start.
      const givenUp = new AbortController();
      setTimeout(() => givenUp.abort(new Error("given up")), 300);
      await assert.rejects(ensure(givenUp.signal), /given up|Worker: /);
      assert.ok(workers.starts() <= 8, `${workers.starts()} starts`);
    }
    assert.deepEqual(
      await readTar(served, 0, 1000),
      layer.tar.subarray(0, 1000),
    );
  });
}
