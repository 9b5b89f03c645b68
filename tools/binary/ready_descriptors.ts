/**
 * Descriptors of protobuf messages, worked out when the bundle is made. Generated modules hold them as encoded
 * protobuf, which protobuf-es decodes when they are loaded, by the description of descriptors themselves, which it
 * makes first: more CPU than all the rest of a call to containerd. In the bundle they are plain objects.
 * @module
 */
import { fromBinary } from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import { base64Decode } from "@bufbuild/protobuf/wire";
import {
  type DescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { Plugin } from "esbuild";
import { ROOT } from "./starts.ts";

const ENCODED = /\bfileDesc\("([A-Za-z0-9+/=]+)"/g;
const IMPORTED = "soci-deno:ready-file";

/** Replaces them in all modules that protobuf-es generates, its own among them. @param root where the packages are */
export function readyDescriptors(root: string): Plugin {
  return {
    name: "ready-descriptors",
    setup(build) {
      build.onLoad({ filter: /_pb\.[jt]s$/ }, async ({ path }) => {
        const text = await Deno.readTextFile(path);
        const contents = withoutEncoded(text);
        return contents === text ? undefined : {
          contents,
          loader: path.endsWith(".ts") ? "ts" : "js",
        };
      });
      build.onResolve(
        { filter: new RegExp(`^${IMPORTED}$`) },
        () => ({ path: IMPORTED, namespace: "ready", sideEffects: false }),
      );
      build.onLoad({ filter: /.*/, namespace: "ready" }, async () => ({
        contents: await Deno.readTextFile(`${ROOT}tools/binary/ready_file.ts`),
        resolveDir: root,
        loader: "ts",
      }));
    },
  };
}

/** A generated module with its descriptors as objects. */
export function withoutEncoded(text: string): string {
  const literals = new Literals();
  const changed = text.replaceAll(
    ENCODED,
    (_, encoded: string) => `readyFile(${literals.of(decode(encoded))}`,
  );
  if (changed === text) return text;
  return `import { readyFile } from "${IMPORTED}";\n${literals.definitions}\n${changed}`;
}

/** As protobuf-es does. */
function decode(encoded: string): FileDescriptorProto {
  const file = fromBinary(FileDescriptorProtoSchema, base64Decode(encoded));
  file.messageType.forEach(nameInJson);
  return file;
}

/** Names in JSON are left out of what is encoded where they follow from the field's name. */
function nameInJson({ field, nestedType }: DescriptorProto): void {
  for (const one of field) {
    if (!Object.hasOwn(one, "jsonName")) {
      one.jsonName = protoCamelCase(one.name);
    }
  }
  nestedType.forEach(nameInJson);
}

/** Writes values as JavaScript. What a message does not set is in its prototype, which messages of a kind share. */
class Literals {
  readonly #prototypes = new Map<object, string>();

  of(value: unknown): string {
    switch (typeof value) {
      case "undefined":
        return "undefined";
      case "boolean":
      case "number":
      case "string":
        return JSON.stringify(value);
      case "object":
        break;
      default:
        throw new Error(`a descriptor holds a ${typeof value}`);
    }
    if (value === null) return "null";
    if (Array.isArray(value)) {
      return `[${value.map((one) => this.of(one)).join(",")}]`;
    }
    if (ArrayBuffer.isView(value)) throw new Error("a descriptor holds bytes");
    const prototype: object = Object.getPrototypeOf(value);
    const inherits = prototype === Object.prototype
      ? []
      : [`__proto__:${this.#prototype(prototype)}`];
    return `{${[...inherits, ...this.#own(value)].join(",")}}`;
  }

  /** Definitions of all prototypes that were used. */
  get definitions(): string {
    return [...this.#prototypes].map(([prototype, name]) =>
      `const ${name} = {${this.#own(prototype).join(",")}};`
    ).join("\n");
  }

  #prototype(prototype: object): string {
    const known = this.#prototypes.get(prototype);
    if (known !== undefined) return known;
    if (Object.getPrototypeOf(prototype) !== Object.prototype) {
      throw new Error("a descriptor's prototype has one of its own");
    }
    const name = `prototype${this.#prototypes.size}`;
    this.#prototypes.set(prototype, name);
    return name;
  }

  #own(value: object): string[] {
    return Object.entries(value).map(([key, one]) =>
      `${JSON.stringify(key)}:${this.of(one)}`
    );
  }
}
