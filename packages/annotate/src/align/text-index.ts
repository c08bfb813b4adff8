// Finds where a quoted snippet stands in a text: exactly, then ignoring case, white space and typography, then with small
// differences by seed and extend (shared k-grams vote for diagonals, a banded edit distance decides). A text is indexed
// once; a snippet then costs its own length, not the text's.

import type { Span } from '../spans.ts';
import { bandedMatch } from './banded-match.ts';
import { normaliseText } from './normalised-text.ts';
import type { NormalisedText } from './normalised-text.ts';

export interface SnippetMatch extends Span {
  /** 1 - edits / snippet length, over the normalised texts; 1 for an exact match. */
  identity: number;
  how: 'exact' | 'normalised' | 'approximate';
}

export interface LocateOptions {
  /** Of several equally good places, the first at or after this source offset is taken (else the first of all). */
  from?: number;
  /** Least identity to accept. Default 0.8. */
  minIdentity?: number;
}

const SEED = 8;
/** k-grams that occur more often say little about where the snippet stands, and would cost the most. */
const MOST_OCCURRENCES = 64;
const CANDIDATES = 4;

/** Shorter than this, only exact or normalised matches count: a few characters resemble anything. */
const SHORTEST_APPROXIMATE = 2 * SEED;

export class TextIndex {
  readonly #source: string;
  readonly #normalised: NormalisedText;
  #seeds: Map<string, number[]> | null = null;

  constructor(source: string) {
    this.#source = source;
    this.#normalised = normaliseText(source);
  }

  /** The best place of the snippet in the source, or null. White space around the snippet is ignored. */
  locate(snippet: string, options: LocateOptions = {}): SnippetMatch | null {
    const trimmed = snippet.trim();
    if (trimmed === '') return null;
    const from = options.from ?? 0;
    const exact = firstFrom(this.#source, trimmed, from);
    if (exact !== -1) return { start: exact, end: exact + trimmed.length, identity: 1, how: 'exact' };
    const wanted = normaliseText(trimmed).text;
    const { text, starts } = this.#normalised;
    const same = firstFrom(text, wanted, lowerBound(starts, from));
    if (same !== -1) return this.#toSource(same, same + wanted.length, 1, 'normalised');
    return this.#approximate(wanted, from, options.minIdentity ?? 0.8);
  }

  #approximate(wanted: string, from: number, minIdentity: number): SnippetMatch | null {
    if (wanted.length < SHORTEST_APPROXIMATE) return null;
    const allowed = Math.floor(wanted.length * (1 - minIdentity));
    const band = Math.max(4, allowed);
    let best: SnippetMatch | null = null;
    for (const diagonal of this.#diagonals(wanted, band)) {
      const match = bandedMatch(wanted, this.#normalised.text, diagonal, 2 * band);
      if (match === null || match.distance > allowed || match.end <= match.start) continue;
      const found = this.#toSource(match.start, match.end, 1 - match.distance / wanted.length, 'approximate');
      if (best === null || better(found, best, from)) best = found;
    }
    return best;
  }

  /** Diagonals with the most shared k-grams, best first, one per band. */
  #diagonals(wanted: string, band: number): number[] {
    const seeds = this.#indexedSeeds();
    const votes = new Map<number, { count: number; diagonal: number }>();
    for (let j = 0; j + SEED <= wanted.length; j++) {
      const places = seeds.get(wanted.slice(j, j + SEED)) ?? [];
      if (places.length > MOST_OCCURRENCES) continue;
      for (const i of places) {
        // The extension searches two bands to either side, so an alignment that drifts over an edge is still found.
        const bucket = Math.round((i - j) / band);
        const vote = votes.get(bucket);
        if (vote) vote.count++;
        else votes.set(bucket, { count: 1, diagonal: i - j });
      }
    }
    return [...votes.values()]
      .sort((a, b) => b.count - a.count || a.diagonal - b.diagonal)
      .slice(0, CANDIDATES)
      .map((vote) => vote.diagonal);
  }

  #indexedSeeds(): Map<string, number[]> {
    if (this.#seeds) return this.#seeds;
    const { text } = this.#normalised;
    const seeds = new Map<string, number[]>();
    for (let i = 0; i + SEED <= text.length; i++) {
      const seed = text.slice(i, i + SEED);
      const places = seeds.get(seed);
      if (places) places.push(i);
      else seeds.set(seed, [i]);
    }
    this.#seeds = seeds;
    return seeds;
  }

  #toSource(start: number, end: number, identity: number, how: SnippetMatch['how']): SnippetMatch {
    const { starts, ends } = this.#normalised;
    return { start: starts[start]!, end: ends[end - 1]!, identity, how };
  }
}

function better(a: SnippetMatch, b: SnippetMatch, from: number): boolean {
  if (a.identity !== b.identity) return a.identity > b.identity;
  const late = (match: SnippetMatch): number => (match.start >= from ? 0 : 1);
  return late(a) !== late(b) ? late(a) < late(b) : a.start < b.start;
}

function firstFrom(text: string, wanted: string, from: number): number {
  const later = text.indexOf(wanted, from);
  return later !== -1 || from === 0 ? later : text.indexOf(wanted);
}

/** First index whose value is at least `value`. */
function lowerBound(sorted: Int32Array, value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
