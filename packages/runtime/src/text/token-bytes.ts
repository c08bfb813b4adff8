// What each token id contributes to the text, as bytes. Working in bytes is what makes streaming exact: a character may
// be spread over several tokens, and only its last byte completes it. Covers the decoders that language models use:
// byte-level BPE (GPT-2 table), SentencePiece style (metaspace and <0xNN> byte tokens), WordPiece, BPE with a suffix at a word's
// end, and whole words (no decoder).

import { RuntimeError } from '../errors.ts';

/** The parts of a tokenizer.json that say how ids become text. */
export interface TokenizerJson {
  decoder: DecoderJson | null;
  added_tokens?: {
    id: number;
    content: string;
    special?: boolean;
    normalized?: boolean;
    single_word?: boolean;
    lstrip?: boolean;
    rstrip?: boolean;
  }[];
}

interface DecoderJson {
  type: string;
  decoders?: DecoderJson[];
  replacement?: string;
  pattern?: { String?: string };
  content?: string;
  start?: number;
  add_prefix_space?: boolean;
  prepend_scheme?: string;
  prefix?: string;
  cleanup?: boolean;
  suffix?: string;
}

const UTF8 = new TextEncoder();

/**
 * GPT-2's printable stand-ins for the 256 bytes: bytes that print as themselves in Latin-1 keep their code point, the
 * rest take 256, 257, ... in order (openai/gpt-2, encoder.py, bytes_to_unicode).
 */
function byteOfStandIn(): Map<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.set(String.fromCodePoint(prints ? byte : next++), byte);
  }
  return table;
}

/** Made when they are first asked for: a text uses few of a vocabulary's 150 000 tokens, and all of them take half a second. */
export class TokenBytes {
  /** True where the decoder drops one leading space of the whole text (SentencePiece's dummy prefix). */
  readonly stripsLeadingSpace: boolean;
  /** True where a space at a token's end shows only with the token behind it. */
  readonly holdsTrailingSpace: boolean;
  readonly #tokens: readonly (string | undefined)[];
  readonly #toBytes: (token: string) => Uint8Array;
  readonly #made: Uint8Array[] = [];

  /**
   * `json` says what decoder there is; `tokens` is the vocabulary by id, added tokens included; `normalize` is the tokenizer's normaliser.
   * Throws `bad-tokenizer` for decoder kinds that are not known here.
   */
  constructor(
    json: TokenizerJson,
    tokens: readonly (string | undefined)[],
    normalize: (text: string) => string,
  ) {
    const steps =
      json.decoder?.type === 'Sequence' ? (json.decoder.decoders ?? []) : json.decoder ? [json.decoder] : [];
    this.#tokens = tokens;
    const {
      toBytes,
      ofBytes = false,
      stripsLeadingSpace = false,
      holdsTrailingSpace = false,
    } = spelling(steps);
    this.#toBytes = toBytes;
    this.stripsLeadingSpace = stripsLeadingSpace;
    this.holdsTrailingSpace = holdsTrailingSpace;
    // What is found in the normalised text stands for that text: in SentencePiece's, a tag has the space in front of it. The decoder
    // reads added tokens too: Gemma's runs of "▁" are among them.
    const found = ofBytes ? (text: string) => UTF8.encode(text) : this.#toBytes;
    for (const { id, content, normalized } of json.added_tokens ?? [])
      this.#made[id] = found(normalized ? normalize(content) : content);
  }

  /** One more than the highest id. */
  get length(): number {
    return this.#tokens.length;
  }

  /** Bytes of a token; none for an id inside the vocabulary that has no token, undefined outside it. */
  at(id: number): Uint8Array | undefined {
    if (!Number.isInteger(id) || id < 0 || id >= this.length) return undefined;
    const token = this.#tokens[id];
    return (this.#made[id] ??= token === undefined ? new Uint8Array() : this.#toBytes(token));
  }
}

/** What a decoder makes of one token, and at the ends of a text. */
interface Spelling {
  toBytes: (token: string) => Uint8Array;
  /** The vocabulary spells bytes; added tokens are their own text there. */
  ofBytes?: boolean;
  stripsLeadingSpace?: boolean;
  holdsTrailingSpace?: boolean;
}

function spelling(steps: readonly DecoderJson[]): Spelling {
  // Without a decoder tokens are words, joined by spaces.
  if (steps.length === 0) return { toBytes: (token) => UTF8.encode(` ${token}`), stripsLeadingSpace: true };
  if (steps.some((s) => s.type === 'ByteLevel')) return { toBytes: byteLevel(), ofBytes: true };
  const only = steps.length === 1 ? steps[0]! : null;
  if (only?.type === 'WordPiece') return { toBytes: wordPiece(only), stripsLeadingSpace: true };
  if (only?.type === 'BPEDecoder') {
    const suffix = only.suffix ?? '</w>';
    return { toBytes: (token) => UTF8.encode(token.replaceAll(suffix, ' ')), holdsTrailingSpace: true };
  }
  const strips = steps.some(
    (s) =>
      (s.type === 'Strip' && s.content === ' ' && (s.start ?? 0) > 0) ||
      (s.type === 'Metaspace' && s.prepend_scheme !== 'never' && s.add_prefix_space !== false),
  );
  return { toBytes: sentencePiece(steps), stripsLeadingSpace: strips };
}

/** Spaces and contractions that BERT's decoder takes back (Hugging Face tokenizers, decoders/wordpiece.rs, cleanup). */
const CLEANUP: readonly [string, string][] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [' do not', " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Tokens that continue a word bear a prefix; before every other one stands a space. */
function wordPiece({ prefix = '##', cleanup = true }: DecoderJson): (token: string) => Uint8Array {
  return (token) => {
    const text = token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    return UTF8.encode(cleanup ? CLEANUP.reduce((t, [from, to]) => t.replaceAll(from, to), text) : text);
  };
}

function byteLevel(): (token: string) => Uint8Array {
  const table = byteOfStandIn();
  return (token) => {
    const out: number[] = [];
    for (const char of token) {
      const byte = table.get(char);
      // Not in the table: a token that was never byte-encoded (some vocabularies list added tokens here too).
      if (byte === undefined) return UTF8.encode(token);
      out.push(byte);
    }
    return Uint8Array.from(out);
  };
}

function sentencePiece(steps: readonly DecoderJson[]): (token: string) => Uint8Array {
  const known = new Set(['Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace']);
  const odd = steps.find((s) => !known.has(s.type));
  if (odd) {
    throw new RuntimeError(
      'bad-tokenizer',
      `tokenizer.json: decoder "${odd.type}" is not supported; ByteLevel, SentencePiece's (Metaspace, ByteFallback), WordPiece and BPEDecoder are`,
    );
  }
  const replacements: [string, string][] = [];
  for (const step of steps) {
    if (step.type === 'Metaspace') replacements.push([step.replacement ?? '\u2581', ' ']);
    if (step.type === 'Replace' && step.pattern?.String !== undefined) {
      replacements.push([step.pattern.String, step.content ?? '']);
    }
  }
  const fallback = steps.some((s) => s.type === 'ByteFallback');
  return (token) => {
    const hex = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
    if (hex) return Uint8Array.of(Number.parseInt(hex[1]!, 16));
    return UTF8.encode(replacements.reduce((text, [from, to]) => text.replaceAll(from, to), token));
  };
}
