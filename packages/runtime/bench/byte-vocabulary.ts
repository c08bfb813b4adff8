// A vocabulary for random-weight models: one token per ASCII character, so that a prompt of n of them has n tokens in every
// runtime, an end token, and names nobody reads. The other bytes have no tokens: random weights would write them alone, and
// wllama breaks off a completion that is not UTF-8.

/** The end token's id. */
export const END = 300;

/** The 128 characters that stand for ASCII in byte-level BPE, then the rest. */
export function byteVocabulary(size: number): string[] {
  const tokens = Array.from({ length: size }, (_, i) => (i === END ? '<|endoftext|>' : `<t${i}>`));
  let extra = 256;
  for (let byte = 0; byte < 128; byte++) {
    const plain = byte >= 33 && byte <= 126;
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
