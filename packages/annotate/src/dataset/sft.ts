// Training rows for supervised fine-tuning: chat messages in which the assistant's text holds the tags. A row is written only
// if taking its tags out restores the source byte for byte.

import type { AnnotatedRow } from '../annotated-row.ts';
import { insertTags, taggedTextFault } from '../spans.ts';

export interface SftRow {
  id: string;
  messages: [{ role: 'user'; content: string }, { role: 'assistant'; content: string }];
}

/** The training row, or the reason why there is none. */
export function toSftRow(row: Pick<AnnotatedRow, 'id' | 'question' | 'text' | 'spans'>): SftRow | string {
  const tagged = insertTags(row.text, row.spans);
  const fault = taggedTextFault(row.text, tagged);
  if (fault !== null) return fault;
  return {
    id: row.id,
    messages: [
      { role: 'user', content: row.question },
      { role: 'assistant', content: tagged },
    ],
  };
}
