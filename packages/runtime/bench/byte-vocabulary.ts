// A vocabulary for random-weight models: one token per byte, so that a prompt of n ASCII characters has n tokens in every
// runtime, an end token, and names nobody reads.

/** The end token's id. */
export const END = 300;

/** The 256 characters that stand for bytes in byte-level BPE, then the rest. */
export function byteVocabulary(size: number): string[] {
  const tokens = Array.from({ length: size }, (_, i) => (i === END ? '<|endoftext|>' : `<t${i}>`));
  let extra = 256;
  for (let byte = 0; byte < 256; byte++) {
    const plain = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    tokens[byte] = String.fromCodePoint(plain ? byte : extra++);
  }
  return tokens;
}

/** tokenizer.json of that vocabulary: byte-level BPE without merges. */
export function byteTokenizer(size: number): object {
  const special = {
    id: END,
    content: '<|endoftext|>',
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  };
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [special],
    normalizer: null,
    pre_tokenizer: bytes,
    post_processor: null,
    decoder: bytes,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(byteVocabulary(size).map((token, id) => [token, id])),
      merges: [],
    },
  };
}
