// Cuts a trace into the thought (up to </think>) and the answer after it, keeping each piece's author, and knows nothing
// of how either is drawn.

import type { Origin } from '@baton/split/trace';

export interface Piece {
  /** Index of the segment it comes from. */
  segment: number;
  origin: Origin;
  text: string;
}

export interface Sections {
  thought: Piece[];
  answer: Piece[];
}

const CLOSE = '</think>';

/** Joining the texts of both gives the trace's text without its <think> tags. */
export function sectionsOf(segments: readonly { origin: Origin; text: string }[]): Sections {
  const text = segments.map((s) => s.text).join('');
  const close = text.indexOf(CLOSE);
  // A trace that never thinks aloud is all answer; one that has not finished thinking is all thought.
  const thoughtEnd = close < 0 ? text.length : close;
  const answerStart = close < 0 ? text.length : close + CLOSE.length;
  const thought: Piece[] = [];
  const answer: Piece[] = [];
  let at = 0;
  segments.forEach(({ origin, text: own }, segment) => {
    const take = (to: Piece[], from: number, until: number): void => {
      const part = own.slice(Math.max(0, from - at), Math.max(0, until - at)).replace('<think>', '');
      if (part !== '') to.push({ segment, origin, text: part });
    };
    take(thought, 0, thoughtEnd);
    take(answer, answerStart, Infinity);
    at += own.length;
  });
  const kept = trimmed(thought);
  const last = kept.at(-1);
  // The blank before </think> would push the answer down.
  if (last && close >= 0) kept[kept.length - 1] = { ...last, text: last.text.trimEnd() };
  return { thought: kept, answer: trimmed(answer) };
}

function trimmed(pieces: Piece[]): Piece[] {
  const start = pieces.findIndex(({ text }) => text.trim() !== '');
  if (start < 0) return [];
  const kept = pieces.slice(start);
  kept[0] = { ...kept[0]!, text: kept[0]!.text.trimStart() };
  return kept;
}
