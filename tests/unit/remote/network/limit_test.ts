import assert from "node:assert/strict";
import { Gate } from "../../../../lib/remote/network/fetch_gate.ts";
import {
  beyondLimit,
  withPorts,
} from "../../../../lib/remote/network/limit.ts";

Deno.test("a host without a port stands for its ports of HTTP and HTTPS, one with a port for that alone", () => {
  assert.deepEqual(withPorts(["R.example", "b.example:8443", "[::1]"]), [
    ...["r.example:80", "r.example:443", "b.example:8443"],
    ...["[::1]:80", "[::1]:443"],
  ]);
});

Deno.test("no other host than those of the limit is asked, no other port of them, and any where there is none", () => {
  const only = ["r.example", "B.example:8443", "[::1]:5000"];
  const asked = [
    ...["https://r.example/v2/", "http://r.example/v2/"],
    ...["https://b.example:8443/x", "http://[::1]:5000/v2/"],
  ];
  for (const url of asked) {
    assert.equal(beyondLimit(new URL(url), only), null, url);
  }
  const refused = [
    ...["https://r.example:8443/", "https://b.example/", "http://[::1]/"],
    ...["https://x.r.example/", "https://r.example.evil.example/"],
  ];
  for (const url of refused) {
    assert.match(beyondLimit(new URL(url), only)!, /is not among/, url);
    assert.equal(beyondLimit(new URL(url), []), null, url);
  }
});

Deno.test("a limit holds for hosts that are named and for those to which a registry leads", async () => {
  const lookup = () => Promise.resolve(["93.184.216.34"]);
  const gate = new Gate(["r.example", "m.example"], lookup, ["r.example"]);
  const lead = new Headers({ location: "https://blobs.example/x" });
  await gate.learn(new URL("https://r.example/"), lead);
  assert.equal(gate.refusal(new URL("https://r.example/")), null);
  for (const url of ["https://m.example/", "https://blobs.example/x"]) {
    assert.match(gate.refusal(new URL(url))!, /is not among/, url);
  }
});
