// A text as an endpoint's tokens, with what it would have written at each of them: POST /completions with `echo` and
// `logprobs`, where each token's alternatives are the prediction of the place before it.

import type { TokenLogprob } from '@baton/runtime/text-model';

export interface PromptPlace {
  /** Length of the text up to and including this token; -1 inside a character. */
  textLength: number;
  /** This token. */
  text: string;
  /** What comes next: the token that is there with its own probability, if one is, and the likeliest others. */
  next: readonly { text: string; logprob: number }[];
}

type Entry = TokenLogprob & { top?: readonly TokenLogprob[] };

/**
 * Lays an answer's tokens along `text`. The token behind the text's end, which the endpoint had to write, is only the last place's
 * prediction. Tokens that stand for nothing in the text (a begin-of-text token) end where they begin.
 */
export function placesOf(text: string, entries: readonly Entry[]): PromptPlace[] {
  const places: PromptPlace[] = [];
  const bytes = new BytesToText();
  let at = 0;
  for (const [i, entry] of entries.entries()) {
    if (at >= text.length && !bytes.unfinished) break;
    const end = bytes.unfinished || isPartial(entry.text) ? bytes.push(entry.text, text, at) : null;
    let textLength: number;
    if (end !== null) {
      at = end;
      textLength = bytes.unfinished ? -1 : at;
    } else {
      // Names of special tokens need not be in the text; anything else that is not found here is looked for close by.
      const found = text.startsWith(entry.text, at) ? at : nearby(text, entry.text, at);
      if (found !== null) at = found + entry.text.length;
      textLength = at;
    }
    places.push({ textLength, text: entry.text, next: nextOf(entries[i + 1]) });
  }
  return places;
}

function nextOf(entry: Entry | undefined): { text: string; logprob: number }[] {
  if (!entry) return [];
  const all = [entry, ...(entry.top ?? [])].filter(({ logprob }) => Number.isFinite(logprob));
  const byText = new Map(all.map(({ text, logprob }) => [text, logprob]));
  return [...byText].map(([text, logprob]) => ({ text, logprob })).sort((a, b) => b.logprob - a.logprob);
}

/** How far a token is looked for where the ones before it could not be read. */
const NEARBY = 16;

function nearby(text: string, token: string, at: number): number | null {
  if (token === '') return null;
  const found = text.slice(at, at + NEARBY + token.length).indexOf(token);
  return found < 0 ? null : at + found;
}

/** OpenAI writes a token that is part of a character as its bytes; others as U+FFFD. */
const isPartial = (token: string): boolean => token.startsWith('bytes:') || token.includes('\uFFFD');

/** Puts characters together from tokens that are written as bytes. */
class BytesToText {
  #decoder = new TextDecoder();
  /** Bytes still missing from the last character; unknown ones count as one. */
  #missing = 0;

  get unfinished(): boolean {
    return this.#missing > 0;
  }

  /** Where in `text` the characters end that are complete with this token, or null where the token says nothing about it. */
  push(token: string, text: string, at: number): number | null {
    if (!token.startsWith('bytes:')) {
      // U+FFFD: which bytes nobody knows; whatever comes next is looked for.
      const unknown = token.includes('\uFFFD');
      this.#missing = unknown ? 1 : 0;
      if (!unknown) this.#decoder = new TextDecoder();
      return unknown ? at : null;
    }
    const raw = [...token.matchAll(/\\x([0-9a-f]{2})|([^\\])/gi)].slice('bytes:'.length);
    const values = raw.map(([, hex, plain]) =>
      hex === undefined ? plain!.charCodeAt(0) : Number.parseInt(hex, 16),
    );
    const done = this.#decoder.decode(new Uint8Array(values), { stream: true });
    for (const byte of values) {
      if (byte >= 0x80 && byte < 0xc0) this.#missing = Math.max(0, this.#missing - 1);
      else this.#missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
    }
    return text.startsWith(done, at) ? at + done.length : at;
  }
}
