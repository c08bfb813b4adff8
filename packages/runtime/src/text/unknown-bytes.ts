// The bytes of pieces that a Unigram vocabulary lacks, as tokens, where tokenizer.json says `byte_fallback`. @huggingface/tokenizers 0.2.0
// reads that field for BPE only and gives the unknown token; a version that reads it makes this file unnecessary.

/** What the library's `encode` gives. */
interface Encoded {
  ids: number[];
  /** A piece that the vocabulary lacks is its own text here. */
  tokens: string[];
}

/** Puts the ids of its bytes in place of every unknown piece, or null where `model` does not ask for that. */
export function unknownBytes(
  model: unknown,
  idOf: (token: string) => number | undefined,
): ((encoded: Encoded) => number[]) | null {
  const { type, byte_fallback: wanted } = model as { type?: string; byte_fallback?: boolean };
  if (type !== 'Unigram' || !wanted) return null;
  const utf8 = new TextEncoder();
  const bytesOf = (piece: string): (number | undefined)[] =>
    Array.from(utf8.encode(piece), (byte) => idOf(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`));
  return ({ ids, tokens }) =>
    ids.flatMap((id, i) => {
      if (idOf(tokens[i]!) !== undefined) return id;
      const bytes = bytesOf(tokens[i]!);
      return bytes.every((byte) => byte !== undefined) ? bytes : id;
    });
}
