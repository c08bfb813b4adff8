// How many tokens a text has at least, counted on its bytes. What surely does not fit is so refused without tokenising it, which
// takes some six microseconds a byte on the one thread that serves everybody.
import type { Tokenizer } from '@baton/runtime';

export class FewestTokens {
  readonly #tokenizer: Tokenizer;
  #longest: Float64Array | null = null;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /**
   * Each byte counts 1/n, n being the length of the longest token that holds such a byte. The bytes of one token then add up to 1 at
   * most, and those of a text to no more than its tokens. Takes milliseconds a megabyte, and once as long as writing out the
   * vocabulary.
   */
  of(text: string): number {
    const tokenizer = this.#tokenizer;
    const longest = (this.#longest ??= longestByByte(tokenizer));
    const normal = tokenizer.normalize(text);
    // A tokenizer whose seams are known keeps every byte. NFC of the whole text instead of what stands between added tokens can only
    // compose more, which makes it shorter. Others may drop white space or join what they do not know, but no printable ASCII.
    const { lines, words } = tokenizer.seams;
    const kept = lines || words ? normal : normal.replace(/[^!-~]+/g, '');
    const counts = new Uint32Array(256);
    for (const byte of Buffer.from(kept)) counts[byte]!++;
    const sum = counts.reduce((n, count, byte) => n + count / longest[byte]!, 0);
    // Rounding must not make a token of nothing.
    return Math.ceil(sum - 1e-6);
  }
}

/** Length of the longest token with each byte; Infinity for a byte that none holds. */
function longestByByte({ bytes }: Tokenizer): Float64Array {
  const longest = new Float64Array(256);
  for (let id = 0; id < bytes.length; id++) {
    const own = bytes.at(id)!;
    for (const byte of own) longest[byte] = Math.max(longest[byte]!, own.length);
  }
  return longest.map((length) => length || Infinity);
}
