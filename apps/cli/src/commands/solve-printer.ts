// Shows a trace on a terminal while it is written: the author of each span by colour where there is colour, by marks
// where there is none.

import type { SolveEvent, Trace } from '@baton/split';

import { counted } from '../counted.ts';

/** What the printer needs of a stream; process.stdout fits. */
export interface Terminal {
  write(text: string): unknown;
  isTTY?: boolean;
}

const LARGE = '\u001B[36m';
const DIM = '\u001B[2m';
const PLAIN = '\u001B[0m';

export class TracePrinter {
  readonly #out: Terminal;
  readonly #colour: boolean;

  /** Colour only on a terminal, and never when NO_COLOR is set (no-color.org). */
  constructor(out: Terminal, environment: Readonly<Record<string, string | undefined>> = process.env) {
    this.#out = out;
    this.#colour = out.isTTY === true && !environment.NO_COLOR;
  }

  print(event: SolveEvent): void {
    switch (event.type) {
      case 'segment-start':
        if (event.origin === 'large') this.#out.write(this.#colour ? LARGE : '⟦');
        return;
      case 'text':
        this.#out.write(printable(event.text));
        return;
      case 'segment-end':
        if (event.segment.origin === 'large') this.#out.write(this.#colour ? PLAIN : '⟧');
        return;
      case 'end':
        this.#out.write(`\n\n${this.#dim(summary(event.trace))}\n`);
        for (const note of event.trace.notes) this.#out.write(`${this.#dim(`note: ${printable(note)}`)}\n`);
        return;
      default:
    }
  }

  #dim(text: string): string {
    return this.#colour ? `${DIM}${text}${PLAIN}` : text;
  }
}

/** One line: the answer, who wrote how much, how long it took, what it cost. */
export function summary(trace: Trace): string {
  const { totals, models } = trace;
  const parts = [
    trace.answer === null ? 'no boxed answer' : `answer ${printable(trace.answer)}`,
    `${placed(models.small)} ${counted(totals.smallTokens, 'token')}`,
  ];
  if (models.large) {
    parts.push(
      `${placed(models.large)} ${counted(totals.largeTokens, 'token')} in ${counted(totals.offloadSpans, 'span')}, ` +
        `${totals.discardedTokens} discarded`,
      `offload ${(100 * totals.offloadRatio).toFixed(1)} %`,
    );
  }
  parts.push(`${(totals.elapsedMs / 1000).toFixed(2)} s`);
  if (totals.cost !== null) parts.push(`cost ${totals.cost.toPrecision(3)}`);
  if (trace.stopReason !== 'end') parts.push(`stopped: ${trace.stopReason}`);
  return parts.join(' · ');
}

/** A server that was never reached is known by its address alone. */
function placed({ id, location }: { id: string; location: string }): string {
  return id === location ? id : `${id} (${location})`;
}

/** Model text must not be able to drive the terminal: control characters other than line ends and tabs are shown as boxes. */
function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, '\u25A1');
}
