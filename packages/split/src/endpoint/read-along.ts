// The server's half of a streamed prompt: what has come of a request's `prompt` is given to the model while the rest is on its
// way. The body is plain JSON of the completions API; a server that waits for its end answers the same.

import { parse } from 'jsonriver';

import { wholeCharacters } from '../text/tags.ts';

export { READ_AHEAD, READS_ALONG } from './reads-along-header.ts';

/** New characters below which a pass is not worth it: six to eight tokens, which take little longer at the end than three. */
const LEAST_CHARACTERS = 24;

/**
 * Gives the whole body as text, and how many characters of its prompt `read` was given before that. While the body comes, `read` is
 * called with the prompt so far, again and again but never twice at a time; what it throws ends the reading along and nothing else,
 * because the request itself will meet it. Throws what `body` throws, and for what is not JSON gives what has come until then.
 */
export async function readAlong(
  body: AsyncIterable<Uint8Array>,
  read: (prompt: string) => Promise<void>,
): Promise<{ text: string; read: number }> {
  const decoder = new TextDecoder();
  let text = '';
  let failed = false;
  let failure: unknown;
  let prompt = '';
  let taken = 0;
  let reading = false;
  const along = { over: false };
  const readOn = async (): Promise<void> => {
    if (reading) return;
    reading = true;
    try {
      while (!along.over && prompt.length - taken >= LEAST_CHARACTERS) {
        taken = prompt.length;
        await read(prompt);
      }
    } catch {
      along.over = true;
    } finally {
      reading = false;
    }
  };
  const pieces = async function* (): AsyncGenerator<string> {
    try {
      for await (const bytes of body) {
        const piece = decoder.decode(bytes, { stream: true });
        text += piece;
        yield piece;
      }
    } catch (error) {
      failed = true;
      failure = error;
      throw error;
    }
  };
  try {
    for await (const value of parse(pieces())) {
      // Only while the prompt is the newest field can there be more of it.
      if (along.over || Object.keys(value ?? {}).at(-1) !== 'prompt') continue;
      const sofar = (value as { prompt: unknown }).prompt;
      if (typeof sofar !== 'string') continue;
      prompt = sofar.slice(0, wholeCharacters(sofar));
      void readOn();
    }
  } catch {
    if (failed) throw failure;
  } finally {
    along.over = true;
  }
  return { text, read: taken };
}
