import type { ChainDirectory, DirectoryFacts } from "./chain_directories.ts";

/** Increase it when older records can no longer be read. */
const VERSION = 1;

interface Stored {
  readonly name: string;
  readonly facts: Omit<DirectoryFacts, "xattrs"> & {
    readonly xattrs: Readonly<Record<string, string>>;
  };
  readonly children: readonly Stored[];
}

/** Encodes a chain's directories as text. The directories of longer chains are made from it. */
export function encodeChain(root: ChainDirectory): string {
  return JSON.stringify({ version: VERSION, root: stored(root) });
}

function stored({ name, facts, children }: ChainDirectory): Stored {
  return {
    name,
    facts: {
      ...facts,
      xattrs: Object.fromEntries(
        [...facts.xattrs].map(([key, value]) => [key, value.toHex()]),
      ),
    },
    children: children.map(stored),
  };
}

/** Decodes what `encodeChain` wrote. @throws Error for a record of another version. */
export function decodeChain(text: string): ChainDirectory {
  const { version, root } = JSON.parse(text);
  if (version !== VERSION) {
    throw new Error(`directories of a chain in version ${version}`);
  }
  return restored(root);
}

function restored({ name, facts, children }: Stored): ChainDirectory {
  return {
    name,
    facts: {
      ...facts,
      xattrs: new Map(
        Object.entries(facts.xattrs).map((
          [key, value],
        ) => [key, Uint8Array.fromHex(value)]),
      ),
    },
    children: children.map(restored),
  };
}
