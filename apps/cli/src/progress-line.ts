// How far a long command is, for whoever watches it: one line on stderr, rewritten in place on a terminal, at most every
// ten seconds elsewhere.

/** Shows `line`; the last one, with `end`, always. */
export type ShowProgress = (line: string, end: boolean) => void;

export function progressLine(): ShowProgress {
  let last = -Infinity;
  return (line, end) => {
    const now = performance.now();
    const terminal = process.stderr.isTTY;
    if (!end && now - last < (terminal ? 200 : 10_000)) return;
    last = now;
    process.stderr.write(terminal ? `\r${line}\u001b[K${end ? '\n' : ''}` : `${line}\n`);
  };
}
