// Token ids to text, one at a time, never showing half a character: bytes that do not yet make a character are held
// until they do. Knows nothing of stop strings (stop-strings.ts).

import type { TokenBytes } from './token-bytes.ts';

const SPACE = 0x20;

export class TextStream {
  readonly #bytes: TokenBytes;
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  #stripSpace: boolean;
  /** The last token's, where it shows only with the next one. */
  #space = '';
  #held = 0;

  /** `after`: the token before those that will come; none for a text's first. */
  constructor(bytes: TokenBytes, stripLeadingSpace: boolean, after?: number) {
    this.#bytes = bytes;
    this.#stripSpace = stripLeadingSpace;
    if (bytes.holdsTrailingSpace && after !== undefined && bytes.at(after)?.at(-1) === SPACE)
      this.#space = ' ';
  }

  /** Text completed by this id; may be empty. Ids outside the vocabulary add nothing. */
  push(id: number): string {
    const piece = this.#bytes.at(id);
    if (piece === undefined || piece.length === 0) return '';
    const text = this.#spaced(this.#strip(this.#decoder.decode(piece, { stream: true })));
    this.#held = unfinishedBytes(piece, this.#held);
    return text;
  }

  /** Whether some bytes of an unfinished character are held. */
  get midCharacter(): boolean {
    return this.#held > 0;
  }

  /** What is held, as U+FFFD, at the end of the text. */
  flush(): string {
    this.#held = 0;
    return this.#strip(this.#decoder.decode());
  }

  #spaced(text: string): string {
    if (!this.#bytes.holdsTrailingSpace || text === '') return text;
    const before = this.#space;
    this.#space = text.endsWith(' ') ? ' ' : '';
    return before + text.slice(0, text.length - this.#space.length);
  }

  #strip(text: string): string {
    if (!this.#stripSpace || text === '') return text;
    this.#stripSpace = false;
    return text.startsWith(' ') ? text.slice(1) : text;
  }
}

/** Bytes still missing from the last character after `piece`, given how many were missing before. */
function unfinishedBytes(piece: Uint8Array, before: number): number {
  let missing = before;
  for (const byte of piece) {
    if (byte >= 0x80 && byte < 0xc0) missing = Math.max(0, missing - 1);
    else missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : byte >= 0xc0 ? 1 : 0;
  }
  return missing;
}
