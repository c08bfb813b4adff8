// Text that the small model writes on trial: it becomes part of the answer only if a policy accepts it.

import type { Sampling } from '@baton/runtime/text-model';

import type { Relay } from './relay.ts';

export interface Draft {
  text: string;
  tokens: number;
  /** 'mark': one of `ends` was reached and is part of the text. 'stop': the model's own end. */
  end: 'mark' | 'stop' | 'length' | 'context';
  startMs: number;
  firstTokenMs: number | null;
}

export interface DraftOptions {
  maxTokens: number;
  ends?: readonly string[];
  sampling?: Sampling;
}

/** Writes on from `prefix` (text as the small model reads it), with the tags banned and taken out. */
export async function writeDraft(relay: Relay, prefix: string, options: DraftOptions): Promise<Draft> {
  const { small, parts } = relay;
  const banned = [small.open.single, small.close.single].filter((id) => id !== null);
  const draft: Draft = { text: '', tokens: 0, end: 'length', startMs: parts.now(), firstTokenMs: null };
  const sampling = options.sampling ?? relay.nextSampling();
  const stream = small.write(prefix, {
    maxTokens: options.maxTokens,
    sampling,
    banned,
    signal: parts.signal,
  });
  for await (const token of stream) {
    if (token.count > 0) draft.firstTokenMs ??= parts.now();
    draft.text = relay.clean(draft.text + token.text);
    draft.tokens += token.count;
    const ends = (options.ends ?? []).flatMap((mark) => {
      const at = draft.text.indexOf(mark);
      return at < 0 ? [] : [at + mark.length];
    });
    if (ends.length > 0) {
      draft.text = draft.text.slice(0, Math.min(...ends));
      return { ...draft, end: 'mark' };
    }
    if (token.finishReason === 'aborted') throw new DOMException('the run was cancelled', 'AbortError');
    if (token.finishReason === 'stop') draft.end = 'stop';
    if (token.finishReason === 'context') draft.end = 'context';
  }
  return draft;
}

/** Makes a draft part of the answer, as the small model's. */
export function acceptDraft(relay: Relay, text: string, tokens: number, draft: Draft): void {
  if (text === '' && tokens === 0) return;
  if (!relay.ledger.current) relay.ledger.begin('small', draft.startMs);
  relay.append(text, tokens, draft.firstTokenMs ?? draft.startMs);
}
