import assert from "node:assert/strict";
import { nextLink, parseLinks } from "../../../../lib/remote/registry/link.ts";

for (
  const [form, header] of [
    ["quoted", '</next>; rel="next"'],
    ["unquoted", "</next>; rel=next"],
    ["without spaces", "</next>;rel=next"],
    ["with spaces everywhere", '  </next>  ;  rel  =  "next"  '],
    ["in capitals", '</next>; REL="NEXT"'],
    ["among other relations", '</next>; rel="last next prev"'],
    ["behind other parameters", '</next>; title="a; b, <c>"; rel="next"'],
    ["before other parameters", '</next>; rel="next"; results="true"; n=5'],
    ["behind a parameter without value", '</next>; crossorigin; rel="next"'],
    ["behind an extended parameter", `</next>; title*=UTF-8''a; rel=next`],
    ["behind an empty parameter", '</next>;; rel="next";'],
    ["behind other links", '</a>; rel="first", </next>; rel="next"'],
    ["before other links", '</next>; rel="next", </a>; rel="last"'],
    ["behind a link without relation", '</a>, </next>; rel="next"'],
    ["behind an empty element", ', ,</next>; rel="next"'],
    ["with escapes in quotes", String.raw`</next>; t="\""; rel="ne\xt"`],
    ["in single quotes", "</next>; rel='next'"],
    ["about the document itself", '</next>; anchor=""; rel="next"'],
    ["its first relation counting", '</next>; rel="next"; rel="prev"'],
  ] as const
) {
  Deno.test(`a link to the next page is read ${form}`, () => {
    assert.equal(nextLink(header), "/next");
  });
}

for (
  const [form, header] of [
    ["is none", null],
    ["is empty", ""],
    ["has another relation", '</a>; rel="prev"'],
    ["has a relation that only begins so", '</a>; rel="nextone"'],
    ["has its relation second", '</a>; rel="prev"; rel="next"'],
    ["is about another document", '</a>; anchor="#x"; rel="next"'],
    ["is broken", '/a; rel="next"'],
    ["is without end", '</a; rel="next"'],
    ["is too long", `<${"a".repeat(20_000)}>; rel=next`],
  ] as const
) {
  Deno.test(`there is no next page where the header ${form}`, () => {
    assert.equal(nextLink(header), null);
  });
}

Deno.test("an address may hold commas, semicolons and quotes", () => {
  const [link, more] = parseLinks(`<?a=1,2;"3">; rel="x", <b>`);
  assert.equal(link?.target, `?a=1,2;"3"`);
  assert.equal(more?.target, "b");
});

Deno.test("a long header is read in time proportional to it", () => {
  const start = performance.now();
  parseLinks(`<a>; ${'x="\\\\'.repeat(2000)}`);
  parseLinks(`<a>${" ;".repeat(8000)}`);
  parseLinks(`<a>;${" ".repeat(16_000)}x`);
  assert.ok(performance.now() - start < 500);
});
