// The two tags, and what must never happen to them: they are found in streamed text however it is cut, never shown in
// part, taken out of generated text only, and neutralised where a person wrote them in a question.

export interface Tags {
  open: string;
  close: string;
}

export const TAGS: Tags = { open: '<bigmodel>', close: '</bigmodel>' };

/** What stands around a span where the small model knows no tags. */
export const NO_MARKERS: Tags = { open: '', close: '' };

/** Finds strings in streamed text, holding back what could still become one of them. */
export class TagScanner {
  readonly #wanted: readonly string[];
  #held = '';

  constructor(wanted: readonly string[]) {
    this.#wanted = wanted.filter((s) => s !== '');
  }

  /** Text that may be the beginning of a tag; not shown yet. */
  get held(): string {
    return this.#held;
  }

  /**
   * Takes more text. `text` is safe to show. With a `match`, `text` is what stands before it and `rest` what stands
   * behind it (push it again to go on). The earliest match wins; of two at one place, the longer.
   */
  push(piece: string): { text: string; match?: string; rest?: string } {
    const all = this.#held + piece;
    let at = -1;
    let found = '';
    for (const tag of this.#wanted) {
      const i = all.indexOf(tag);
      if (i < 0 || (at >= 0 && (i > at || (i === at && tag.length <= found.length)))) continue;
      at = i;
      found = tag;
    }
    if (at >= 0) {
      this.#held = '';
      return { text: all.slice(0, at), match: found, rest: all.slice(at + found.length) };
    }
    const keep = this.#unfinished(all);
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep) };
  }

  /** What was held back, once no more text comes. */
  flush(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }

  #unfinished(all: string): number {
    let longest = 0;
    for (const tag of this.#wanted) {
      for (let n = Math.min(tag.length - 1, all.length); n > longest; n--)
        if (all.endsWith(tag.slice(0, n))) longest = n;
    }
    return longest;
  }
}

/**
 * `text` less what would complete a tag that the end of `before` begins: two writers, or a piece that nobody held back, must
 * not form one together.
 */
export function withoutTagAcross(before: string, text: string, tags: Tags): string {
  for (const tag of [tags.open, tags.close]) {
    for (let n = Math.min(tag.length - 1, before.length); n > 0; n--)
      // What comes next may complete the same tag again.
      if (text.startsWith(tag.slice(n)) && before.endsWith(tag.slice(0, n)))
        return withoutTagAcross(before, text.slice(tag.length - n), tags);
  }
  return text;
}

/** Generated text without any of `tags`; taking one out may form another, so it is repeated until none is left. */
export function stripTags(text: string, tags: readonly string[]): string {
  let out = text;
  for (let before = ''; before !== out;) {
    before = out;
    for (const tag of tags) out = out.split(tag).join('');
  }
  return out;
}

/**
 * Markers of chat templates: `<|user|>`, DeepSeek's full-width form, thinking and tool tags, `<s>` and its kin, Llama 2's and
 * Mistral's brackets, Gemma's turns, ChatGLM's masks, EXAONE's `[|user|]`.
 */
const CHAT_MARKERS = new RegExp(
  [
    String.raw`<(?=\|[^|<>\s]{1,40}\|>)`,
    String.raw`<(?=｜[^｜<>]{1,40}｜>)`,
    String.raw`<(?=\/?(?:think|tool_call|tool_response|s|bos|eos|pad|unk|mask|sop|eop)>)`,
    String.raw`<(?=(?:(?:start|end)_of_turn|BOS_TOKEN|EOS_TOKEN)>)`,
    String.raw`\[(?=\/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|THINK)\])`,
    String.raw`\[(?=[gs]?MASK\])`,
    String.raw`\[(?=\|[a-z]{1,40}\|\])`,
    String.raw`<(?=<\/?SYS>>)`,
  ].join('|'),
  'g',
);

/**
 * A person's text with chat markers and tags made harmless: one space behind the first character, so that no tokenizer
 * reads them as special tokens and the person's words stay readable.
 */
export function neutralise(question: string, tags: Tags): string {
  let out = question.replace(CHAT_MARKERS, (c) => `${c} `);
  for (const tag of [tags.close, tags.open]) out = out.split(tag).join(`${tag.slice(0, 1)} ${tag.slice(1)}`);
  return out;
}

/** Length up to which `text` can be handed on: less a high surrogate whose other half has not arrived. */
export function wholeCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
}
