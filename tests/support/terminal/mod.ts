/** Programs on a terminal: what a person would see, and whether the terminal is left as it was. @module */
import xterm from "@xterm/headless";
import { tryRun } from "../host/mod.ts";

/** How a program is run on a terminal. */
export interface TerminalOptions {
  readonly columns: number;
  readonly rows: number;
  readonly program: string;
  readonly args: readonly string[];
  /** Once this text was printed, these characters are typed. */
  readonly typed?: { readonly after: string; readonly text: string };
}

/** What became of it. */
export interface TerminalResult {
  readonly code: number;
  /** What it printed, with all control sequences. */
  readonly raw: string;
  /** All lines that can be seen at the end, those that were scrolled away included. */
  readonly lines: readonly string[];
  /** Whether the program's end leaves the usual screen and a cursor. */
  readonly isRestored: boolean;
}

/** Runs a program on a pseudo terminal; says on stderr whether the terminal's settings are as before. */
const PTY = `
import fcntl, os, pty, struct, sys, termios
columns, rows, after, text = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), sys.argv[4].encode()
main, side = pty.openpty()
fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
before = termios.tcgetattr(side)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(side, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2): os.dup2(side, fd)
    os.execvp(sys.argv[5], sys.argv[5:])
seen, typed = b"", False
import select, time
code, end = None, None
while True:
    ready, _, _ = select.select([main], [], [], 0.1)
    if ready:
        seen += os.read(main, 65536)
        if after and not typed and after in seen:
            typed = True
            os.write(main, text)
    elif code is not None:
        break
    if code is None:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: code = os.waitstatus_to_exitcode(status)
same = termios.tcgetattr(side) == before
sys.stdout.buffer.write(seen)
sys.stderr.write("same" if same else "changed")
sys.exit(code if code >= 0 else 128 - code)
`;

/** Runs a program on a terminal of its own to its end. */
export async function runOnTerminal(
  options: TerminalOptions,
): Promise<TerminalResult> {
  const { columns, rows, program, args, typed } = options;
  const { code, stdout: raw, stderr } = await tryRun("python3", [
    ...["-c", PTY, String(columns), String(rows)],
    ...[typed?.after ?? "", typed?.text ?? "", program, ...args],
  ], { timeoutMs: 60_000, env: { TERM: "xterm-256color" } });
  const terminal = new xterm.Terminal({
    cols: columns,
    rows,
    scrollback: 10_000,
    allowProposedApi: true,
  });
  await new Promise<void>((resolve) => terminal.write(raw, resolve));
  const { active } = terminal.buffer;
  const lines = Array.from(
    { length: active.length },
    (_, at) => active.getLine(at)?.translateToString(true) ?? "",
  );
  while (lines.at(-1) === "") lines.pop();
  const isRestored = stderr.endsWith("same") && active.type === "normal" &&
    raw.lastIndexOf("\x1b[?25l") <= raw.lastIndexOf("\x1b[?25h");
  terminal.dispose();
  return { code, raw, lines, isRestored };
}
