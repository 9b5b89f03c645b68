/** What a file of protobuf descriptors becomes in the bundle. Bundled with it (`ready_descriptors.ts`). @module */
import {
  createFileRegistry,
  type DescFile,
  type FileRegistry,
} from "@bufbuild/protobuf";
import type { FileDescriptorProto } from "@bufbuild/protobuf/wkt";

/**
 * The descriptors of a file.
 * @param root the file, with the names of fields in JSON.
 * @param imports the files that it imports, in the order of its text.
 */
export function readyFile(
  root: FileDescriptorProto,
  imports: readonly DescFile[] = [],
): DescFile {
  root.dependency = imports.map(({ proto }) => proto.name);
  const registry: FileRegistry = createFileRegistry(
    root,
    (name) => imports.find(({ proto }) => proto.name === name),
  );
  return registry.getFile(root.name)!;
}
