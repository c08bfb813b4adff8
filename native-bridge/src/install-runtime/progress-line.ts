// The progress of a download for people: a line that rewrites itself on a terminal, a line per tenth elsewhere.
import type { DownloadProgress } from './download.ts';

const MB = 1_000_000;

export function progressLine(out: NodeJS.WriteStream): DownloadProgress {
  let shown = -1;
  return (done, total) => {
    const percent = total === null ? null : Math.floor((100 * done) / total);
    const step =
      percent === null ? Math.floor(done / (10 * MB)) : out.isTTY ? percent : Math.floor(percent / 10);
    if (step === shown) return;
    shown = step;
    const of = total === null ? '' : ` of ${(total / MB).toFixed(1)}`;
    const text = `${(done / MB).toFixed(1)}${of} MB${percent === null ? '' : ` (${percent} %)`}`;
    out.write(out.isTTY ? `\r${text}${done === total ? '\n' : ''}` : `${text}\n`);
  };
}
