// What each token id contributes to the text, as bytes. Working in bytes is what makes streaming exact: a character may
// be spread over several tokens, and only its last byte completes it. Covers the two decoders that language models use:
// byte-level BPE (GPT-2 table) and SentencePiece style (metaspace and <0xNN> byte tokens).

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
    const ofBytes = steps.some((s) => s.type === 'ByteLevel');
    this.#toBytes = ofBytes ? byteLevel() : sentencePiece(steps);
    // What is found in the normalised text stands for that text: in SentencePiece's, a tag has the space in front of it. The decoder
    // reads added tokens too: Gemma's runs of "▁" are among them.
    const found = ofBytes ? (text: string) => UTF8.encode(text) : this.#toBytes;
    for (const { id, content, normalized } of json.added_tokens ?? [])
      this.#made[id] = found(normalized ? normalize(content) : content);
    this.stripsLeadingSpace = steps.some(
      (s) =>
        (s.type === 'Strip' && s.content === ' ' && (s.start ?? 0) > 0) ||
        (s.type === 'Metaspace' && s.prepend_scheme !== 'never' && s.add_prefix_space !== false),
    );
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
  if (odd || steps.length === 0) {
    throw new RuntimeError(
      'bad-tokenizer',
      `tokenizer.json: decoder "${odd?.type ?? 'none'}" is not supported; byte-level and SentencePiece (Metaspace, ByteFallback) decoders are`,
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
