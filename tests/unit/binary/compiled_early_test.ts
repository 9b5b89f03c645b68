import assert from "node:assert/strict";
import { compiledEarly } from "../../../tools/binary/compiled_early.ts";

Deno.test("the modules of CommonJS packages are put in parentheses, whatever is inside, and nothing else is", () => {
  const module = 'a=>{a.b=function(){return"});var q=p(c=>{"}}';
  assert.equal(
    compiledEarly(
      `import{a as p}from"./x.js";var y=p(${module}),z=p((d,e)=>{e.exports=y()});` +
        `var f=p(1),g=p(a=>a),h=(a)=>{},i=p(j=>{},2);export{y};`,
    ),
    `import{a as p}from"./x.js";var y=p((${module})),z=p(((d,e)=>{e.exports=y()}));` +
      `var f=p(1),g=p(a=>a),h=(a)=>{},i=p(j=>{},2);export{y};`,
  );
});
