// The body of an answer as text, no further than is asked for: a server that never ends its answer must not fill the memory.

import type { HttpAnswer } from './node-request.ts';

/**
 * The body's text, which breaks off behind the piece that passes `most` bytes; `whole` says whether it did not. What is left is not read:
 * the connection is closed.
 */
export async function bodyText(answer: HttpAnswer, most: number): Promise<{ text: string; whole: boolean }> {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let text = '';
  let bytes = 0;
  if (!reader) return { text, whole: true };
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return { text: text + decoder.decode(), whole: true };
    text += decoder.decode(value, { stream: true });
    bytes += value?.length ?? 0;
    if (bytes <= most) continue;
    reader.cancel().catch(() => undefined);
    return { text, whole: false };
  }
}
