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
  /** Characters of the tag that each id of `first` holds. */
  covers: readonly number[];
  /** The usual tokenisation. */
  full: readonly number[];
}

/** What merges with `<` or `</` in common vocabularies, for sessions that do not know theirs: white space, line ends, ends of sentences and of formulas. */
export const LEADS: readonly string[] = [
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
  if (full.length === 1)
    return { text: tag, single: full[0]!, first: full, leads: [''], covers: [tag.length], full };
  const found = session.beginnings ? await session.beginnings(tag) : await likelyBeginnings(session, tag);
  return {
    text: tag,
    single: null,
    first: found.map(({ id }) => id),
    leads: found.map(({ lead }) => lead),
    covers: found.map(({ covers }) => covers),
    full,
  };
}

/** What TextSession.beginnings gives, from `encode` alone: over the leads that are common. */
async function likelyBeginnings(
  session: TextSession,
  tag: string,
): Promise<{ id: number; lead: string; covers: number }[]> {
  const found = new Map<number, { id: number; lead: string; covers: number }>();
  for (const lead of LEADS) {
    for (let n = 1; n <= tag.length; n++) {
      const [id, ...more] = await session.encode(lead + tag.slice(0, n));
      // One token for the lead and a part of the tag; a longer part may still be one token, so all are tried.
      if (id !== undefined && more.length === 0) found.set(id, { id, lead, covers: n });
    }
  }
  return [...found.values()];
}

/** log(sum(exp(values))); -Infinity for none. */
export function logSumExp(values: readonly number[]): number {
  const max = Math.max(-Infinity, ...values);
  if (max === -Infinity) return -Infinity;
  return max + Math.log(values.reduce((sum, v) => sum + Math.exp(v - max), 0));
}
