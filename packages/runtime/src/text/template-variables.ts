// The names that a checkpoint's chat template may use for its special tokens, as transformers fills them in.

type Json = Readonly<Record<string, unknown>>;

/**
 * `config` is tokenizer_config.json, `specialTokens` special_tokens_map.json. Every `..._token` of them counts, and what `extra_special_tokens`
 * names. The map is the older place: it is what counts where `config` does not say which tokens were added.
 */
export function templateVariables(config: Json, specialTokens: Json = {}): Record<string, string> {
  const all: Json = 'added_tokens_decoder' in config ? config : { ...config, ...specialTokens };
  const named = Object.entries(all).filter(([name]) => name.endsWith('_token'));
  const extra = all.extra_special_tokens;
  // A list of them has no names.
  if (typeof extra === 'object' && extra !== null && !Array.isArray(extra))
    named.push(...Object.entries(extra));
  const texts = named.map(([name, value]) => [name, textOf(value)] as const);
  return Object.fromEntries(texts.filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** A token is its text, or an object that has it. */
function textOf(token: unknown): string | undefined {
  const text = (token as { content?: unknown } | null)?.content ?? token;
  return typeof text === 'string' ? text : undefined;
}
