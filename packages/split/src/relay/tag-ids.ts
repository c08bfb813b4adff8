// A tag as the small model's tokenizer sees it: one special token where the model was trained so, else the several ways
// in which a tokenizer can begin it. Found through TextSession.encode alone, so that any tokenizer will do.

import type { TextSession } from '@baton/runtime/text-model';

export interface TagIds {
  text: string;
  /** The tag's own id where it is a single token. */
  single: number | null;
  /** Ids that can be the first token of the tag, over all tokenisations; only `single` where there is one. */
  first: readonly number[];
  /** Text in front of the tag that each id of `first` also holds; usually ''. */
  leads: readonly string[];
  /** The usual tokenisation. */
  full: readonly number[];
}

/** What merges with `<` or `</` in common vocabularies: white space, line ends, ends of sentences and of formulas. */
const LEADS = [
  '',
  ' ',
  '\n',
  '\n\n',
  ' \n',
  '.',
  ',',
  ';',
  ':',
  '!',
  '?',
  ')',
  ']',
  '}',
  '>',
  '"',
  "'",
  '=',
  '.\n',
  '$',
];

export async function tagIds(session: TextSession, tag: string): Promise<TagIds> {
  const full = await session.encode(tag);
  if (full.length === 1) return { text: tag, single: full[0]!, first: full, leads: [''], full };
  const first = new Map<number, string>();
  for (const lead of LEADS) {
    for (let n = 1; n <= tag.length; n++) {
      const ids = await session.encode(lead + tag.slice(0, n));
      // One token for the lead and a part of the tag; a longer part may still be one token, so all are tried.
      if (ids.length === 1 && !first.has(ids[0]!)) first.set(ids[0]!, lead);
    }
  }
  if (full[0] !== undefined && !first.has(full[0])) first.set(full[0], '');
  return { text: tag, single: null, first: [...first.keys()], leads: [...first.values()], full };
}

/** log(sum(exp(values))); -Infinity for none. */
export function logSumExp(values: readonly number[]): number {
  const max = Math.max(-Infinity, ...values);
  if (max === -Infinity) return -Infinity;
  return max + Math.log(values.reduce((sum, v) => sum + Math.exp(v - max), 0));
}
