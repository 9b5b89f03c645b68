import assert from "node:assert/strict";
import { join, relative } from "node:path";
import {
  create,
  type DescFile,
  type DescMessage,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { withoutEncoded } from "../../../tools/binary/ready_descriptors.ts";
import { ROOT } from "../../../tools/binary/starts.ts";

const GENERATED = `${ROOT}lib/remote/containerd/gen`;
const READY = new URL("../../../tools/binary/ready_file.ts", import.meta.url);

function* modulesBelow(folder: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = join(folder, name);
    if (isDirectory) yield* modulesBelow(path);
    else if (name.endsWith("_pb.ts")) yield path;
  }
}

function fileOf(module: Record<string, unknown>): DescFile {
  const [file] = Object.entries(module)
    .flatMap(([name, value]) => name.startsWith("file_") ? [value] : []);
  return file as DescFile;
}

/** All that encoding and calls take from a message's description. */
const saidOf = (message: DescMessage): unknown => ({
  name: message.typeName,
  fields: message.fields.map((field) => [
    ...[field.name, field.localName, field.jsonName, field.number],
    ...[field.fieldKind, field.presence, field.scalar, field.oneof?.name],
    ...[field.message?.typeName, field.enum?.typeName, field.toString()],
    ...(field.fieldKind === "map" ? [field.mapKind, field.mapKey] : []),
    ...(field.fieldKind === "list" ? [field.listKind, field.packed] : []),
  ]),
  nested: message.nestedMessages.map(saidOf),
  empty: [...toBinary(message, create(message))],
});

Deno.test("descriptors that are worked out for the bundle say all that the encoded ones say", async () => {
  const folder = await Deno.makeTempDir({ prefix: "soci-deno-descriptors-" });
  try {
    const paths = [...modulesBelow(GENERATED)];
    assert.ok(paths.length >= 10, `${paths.length}`);
    const ready = (path: string) => join(folder, relative(GENERATED, path));
    for (const path of paths) {
      const text = withoutEncoded(await Deno.readTextFile(path));
      assert.doesNotMatch(text, /\bfileDesc\(/);
      await Deno.mkdir(join(ready(path), ".."), { recursive: true });
      await Deno.writeTextFile(
        ready(path),
        text.replace("soci-deno:ready-file", READY.href),
      );
    }
    for (const path of paths) {
      const wanted = fileOf(await import(path));
      const found = fileOf(await import(ready(path)));
      assert.deepEqual(
        toBinary(FileDescriptorProtoSchema, found.proto),
        toBinary(FileDescriptorProtoSchema, wanted.proto),
      );
      assert.deepEqual(found.messages.map(saidOf), wanted.messages.map(saidOf));
      assert.deepEqual(
        found.enums.map((one) => [one.typeName, one.values.map(String)]),
        wanted.enums.map((one) => [one.typeName, one.values.map(String)]),
      );
      const methodsOf = ({ services }: DescFile) =>
        services.flatMap(({ methods }) =>
          methods.map((one) => [
            ...[one.parent.typeName, one.name, one.localName, one.methodKind],
            ...[one.input.typeName, one.output.typeName],
          ])
        );
      assert.deepEqual(methodsOf(found), methodsOf(wanted));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("a module without descriptors stays as it is", () => {
  const text = `import { fileDesc } from "x"; export const a = 1;`;
  assert.equal(withoutEncoded(text), text);
});
