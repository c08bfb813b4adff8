// A byte-level BPE tokenizer.json (GPT-2's byte alphabet) with merges of the caller's choice, so that the same text can
// be tokenised in many ways.

/** GPT-2's printable stand-in for each byte (openai/gpt-2, encoder.py, bytes_to_unicode). */
function byteAlphabet(): string[] {
  const printable = (b: number): boolean =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++));
}

const ALPHABET = byteAlphabet();

/** `pieces`: texts that become single tokens (each merged from left to right). `special`: added special tokens. */
export function byteTokenizerJson(pieces: readonly string[], special: readonly string[]): object {
  const vocab: Record<string, number> = {};
  for (const letter of ALPHABET) vocab[letter] = Object.keys(vocab).length;
  const merges: [string, string][] = [];
  for (const piece of pieces) {
    const letters = [...new TextEncoder().encode(piece)].map((b) => ALPHABET[b]!);
    let left = letters[0] ?? '';
    for (const right of letters.slice(1)) {
      const merged = left + right;
      if (!(merged in vocab)) {
        vocab[merged] = Object.keys(vocab).length;
        merges.push([left, right]);
      }
      left = merged;
    }
  }
  const first = Object.keys(vocab).length;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, i) => ({
      id: first + i,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab,
      merges,
    },
  };
}
