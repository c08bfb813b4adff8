// Encodes texts that mostly grow at their end, as a conversation's does: what stands before the last beginning of a line or a
// word keeps its ids, and only the rest is encoded again. Encoding all of a 2,800-character text took 1.6 ms for each new token,
// its last line of a hundred characters 0.15 ms, more than a pass of a small model.

import type { Seams } from './seams.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A place that no token reaches over. */
interface Seam {
  /** Characters and tokens before it. */
  characters: number;
  tokens: number;
  /** Characters that show that it is one: what stands behind it belongs to that. */
  known: number;
}

const TEXT_BEGIN: Seam = { characters: 0, tokens: 0, known: 0 };

export class GrowingText {
  readonly #tokenizer: Tokenizer;
  #text = '';
  #ids: readonly number[] = [];
  /** Oldest first. */
  readonly #seams: Seam[] = [];

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The same ids as Tokenizer.encode. */
  encode(text: string): readonly number[] {
    const tokenizer = this.#tokenizer;
    if (!tokenizer.seams.lines && !tokenizer.seams.words) return tokenizer.encode(text);
    if (text === this.#text) return this.#ids;
    const shared = commonLength(text, this.#text);
    while (this.#seams.length > 0 && this.#seams.at(-1)!.known > shared) this.#seams.pop();
    const from = this.#seams.at(-1) ?? TEXT_BEGIN;
    const rest = text.slice(from.characters);
    const ids = this.#ids.slice(0, from.tokens).concat(tokenizer.encode(rest));
    const last = lastSeam(rest, tokenizer.seams);
    if (last) {
      const behind = tokenizer.encode(rest.slice(last.at)).length;
      const { characters } = from;
      this.#seams.push({
        characters: characters + last.at,
        tokens: ids.length - behind,
        known: characters + last.known,
      });
    }
    this.#text = text;
    this.#ids = ids;
    return ids;
  }
}

/** The last seam behind the beginning of `text`, and the characters that show it. */
function lastSeam(text: string, seams: Seams): { at: number; known: number } | null {
  for (let at = text.length - 1; at > 0; at--) {
    const [before, here] = [text.charCodeAt(at - 1), text.charCodeAt(at)];
    if (seams.lines && before === LINE_FEED && here > SPACE && here < DELETE) return { at, known: at + 1 };
    if (seams.words && here === SPACE && isLetter(before) && isLetter(text.charCodeAt(at + 1)))
      return { at, known: at + 2 };
  }
  return null;
}

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const DELETE = 0x7f;

/** ASCII only. */
function isLetter(code: number): boolean {
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x7a;
}

function commonLength(a: string, b: string): number {
  if (a.startsWith(b)) return b.length;
  if (b.startsWith(a)) return a.length;
  let n = 0;
  while (n < a.length && n < b.length && a.charCodeAt(n) === b.charCodeAt(n)) n++;
  return n;
}
