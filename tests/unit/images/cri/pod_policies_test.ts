import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { PodPolicies } from "../../../../lib/images/cri/mod.ts";
import { readPullRequest } from "../../../../lib/images/cri/pull_request.ts";
import { parseReference } from "../../../../lib/remote/registry/mod.ts";
import { PullImageRequestSchema } from "../../../support/cri/gen/runtime/v1/api_pb.ts";

const request = (image: string, annotations?: Record<string, string>) =>
  readPullRequest(toBinary(
    PullImageRequestSchema,
    create(PullImageRequestSchema, {
      image: { image, annotations: { "soci-deno.policy": "of the image" } },
      auth: { username: "anna" },
      ...(annotations !== undefined && {
        sandboxConfig: {
          metadata: { name: "pod" },
          labels: { "soci-deno.policy": "a label" },
          annotations,
        },
      }),
    }),
  ));

Deno.test("a pull says what its pod's annotation says of the image's policy, and nothing else", () => {
  assert.equal(request("app").policy, undefined);
  assert.equal(request("app", { other: "eager" }).policy, undefined);
  const both = { other: "lazy", "soci-deno.policy": "eager" };
  const read = request("app", both);
  assert.deepEqual([read.image, read.policy], ["app", "eager"]);
  assert.equal(read.auth?.username, "anna");
});

Deno.test("a pod's policy counts for its image while the pull goes on, and the newest pull's first", () => {
  const policies = new PodPolicies();
  const of = (image: string) => policies.of(parseReference(image));
  const said = (policy: string) =>
    policies.begin({ image: "team/app:1", auth: null, policy });
  const first = said("eager");
  const second = said("lazy");
  assert.equal(of("docker.io/team/app:1"), "lazy");
  assert.equal(of("docker.io/team/app:2"), null);
  second();
  assert.equal(of("docker.io/team/app:1"), "eager");
  first();
  assert.equal(of("docker.io/team/app:1"), null);
  for (const policy of [undefined, "x".repeat(65)]) {
    policies.begin({
      ...{ image: "team/app:1", auth: null },
      ...(policy !== undefined && { policy }),
    });
    assert.equal(of("docker.io/team/app:1"), null);
  }
  policies.begin({ image: "", auth: null, policy: "eager" })();
});
