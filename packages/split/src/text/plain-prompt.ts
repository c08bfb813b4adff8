// A question as plain text, for models whose chat template nobody here knows: any base or reasoning model continues it.

import type { ChatMessage } from '@baton/runtime/text-model';

const NAMES: Readonly<Record<string, string>> = {
  system: 'Instructions',
  user: 'Question',
  assistant: 'Answer',
};

/** `history`: the conversation before the question. */
export function plainPrompt(question: string, history: readonly ChatMessage[] = []): string {
  const before = history.map(({ role, content }) => `${NAMES[role] ?? role}: ${content}\n\n`).join('');
  return `${before}Question: ${question}\n\nAnswer step by step and put the final answer in \\boxed{}.\n\n<think>\n`;
}
