import { ExitRequest } from "./command.ts";

const END_OF_TEXT = 0x03; // Ctrl-C
const END_OF_TRANSMISSION = 0x04; // Ctrl-D
const SIGINT = 2;
const BACKSPACES = [0x08, 0x7f];
const LINE_ENDS = [0x0a, 0x0d, END_OF_TRANSMISSION];

/**
 * Asks on the terminal (standard input must be one) without showing what is typed. Ctrl-C ends the
 * process and restores the terminal.
 */
export function askSecret(prompt: string): string {
  const write = (text: string) =>
    Deno.stderr.writeSync(new TextEncoder().encode(text));
  // In raw mode Ctrl-C arrives as a byte. A process killed by the signal would leave the terminal
  // without echo.
  Deno.stdin.setRaw(true);
  write(prompt);
  const typed: number[] = [];
  let interrupted = false;
  try {
    const byte = new Uint8Array(1);
    while (Deno.stdin.readSync(byte) === 1) {
      const key = byte[0]!;
      if (LINE_ENDS.includes(key)) break;
      interrupted = key === END_OF_TEXT;
      if (interrupted) break;
      if (BACKSPACES.includes(key)) dropCharacter(typed);
      else typed.push(key);
    }
  } finally {
    Deno.stdin.setRaw(false);
    write("\n");
  }
  if (interrupted) throw new ExitRequest(128 + SIGINT);
  return new TextDecoder().decode(Uint8Array.from(typed));
}

/** Takes the last character off UTF-8: its first byte and those that continue it. */
function dropCharacter(bytes: number[]): void {
  while ((bytes.pop() ?? 0) >> 6 === 0b10);
}
