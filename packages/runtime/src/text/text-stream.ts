// Token ids to text, one at a time, never showing half a character: bytes that do not yet make a character are held
// until they do. Knows nothing of stop strings (stop-strings.ts).

export class TextStream {
  readonly #bytes: readonly Uint8Array[];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  readonly #holdSpace: boolean;
  #stripSpace: boolean;
  #space = '';
  #held = 0;

  /** `holdTrailingSpace`: a space at a token's end comes with the token after it, and not at the end of the text. */
  constructor(bytes: readonly Uint8Array[], stripLeadingSpace: boolean, holdTrailingSpace = false) {
    this.#bytes = bytes;
    this.#stripSpace = stripLeadingSpace;
    this.#holdSpace = holdTrailingSpace;
  }

  /** Text completed by this id; may be empty. Ids outside the vocabulary add nothing. */
  push(id: number): string {
    const piece = this.#bytes[id];
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
    if (!this.#holdSpace) return text;
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
