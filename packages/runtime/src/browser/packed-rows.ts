// What the small model says of a text that it read, as it crosses from the worker: one row of numbers per token. As objects the rows of a
// thousand tokens are a thousand clones that the page's thread has to build; as one array they are moved, and nothing is copied.

import type { WatchedPosition } from '../text-model.ts';

export interface PackedRows {
  /** Per position: text length, likeliest id, its log-probability, then those of the watched ids. */
  numbers: Float64Array<ArrayBuffer>;
  watched: number;
}

const HEAD = 3;

export function packRows(rows: readonly WatchedPosition[]): PackedRows {
  const watched = rows[0]?.logprobs.length ?? 0;
  const numbers = new Float64Array(rows.length * (HEAD + watched));
  let at = 0;
  for (const { textLength, argmax, argmaxLogprob, logprobs } of rows) {
    numbers.set([textLength, argmax, argmaxLogprob], at);
    numbers.set(logprobs, at + HEAD);
    at += HEAD + watched;
  }
  return { numbers, watched };
}

export function unpackRows({ numbers, watched }: PackedRows): WatchedPosition[] {
  const rows: WatchedPosition[] = [];
  for (let at = 0; at < numbers.length; at += HEAD + watched) {
    const [textLength, argmax, argmaxLogprob, ...logprobs] = numbers.subarray(at, at + HEAD + watched);
    rows.push({ textLength: textLength!, argmax: argmax!, argmaxLogprob: argmaxLogprob!, logprobs });
  }
  return rows;
}
