/** The names under which the program acts. @module */
import { type CommandEntry, COMMANDS, SOCI_COMMANDS } from "./mod.ts";

/** Under which name the program acts: as itself, or as the existing tool. */
export interface Persona {
  readonly name: "soci-deno" | "soci";
  readonly commands: readonly CommandEntry[];
  /** The exit code for wrong usage; the existing tool knows one failure only. */
  readonly usageExitCode: 1 | 2;
  /** The exit code where no word says what to do. */
  readonly noWordExitCode: 0 | 2;
  /** For a word that is no command. */
  readonly unknownWord: {
    readonly exitCode: 2 | 3;
    /** What is said, if not our own words. */
    readonly says: ((word: string) => string) | null;
  };
}

/** By their names. */
export const PERSONAS: Readonly<Record<Persona["name"], Persona>> = {
  "soci-deno": {
    name: "soci-deno",
    commands: COMMANDS,
    usageExitCode: 2,
    noWordExitCode: 2,
    unknownWord: { exitCode: 2, says: null },
  },
  soci: {
    name: "soci",
    commands: SOCI_COMMANDS,
    usageExitCode: 1,
    noWordExitCode: 0,
    unknownWord: {
      exitCode: 3,
      says: (word) => `No help topic for '${word}'`,
    },
  },
};
