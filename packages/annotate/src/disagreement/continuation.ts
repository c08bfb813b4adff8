// Greedy continuation of a growing text, as cheaply as the model allows: through one session, whose cache rolls back to the
// common prefix, or through single requests where the model has none.

import type { TextModel, TextSession } from '@baton/runtime/text-model';

export interface Continuer {
  /** What the model writes greedily after the prefix, up to a line end or so many tokens. */
  after(prefix: string, maxTokens: number, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

export async function openContinuer(model: TextModel): Promise<Continuer> {
  const session: TextSession | undefined = model.capabilities.sessions
    ? await model.openSession?.()
    : undefined;
  return {
    async after(prefix, maxTokens, signal) {
      // Leading line ends belong to the seam, so a stop at the first one would end most continuations at once.
      let text = '';
      const options = { maxTokens, sampling: {}, signal };
      if (session) await session.sync(prefix, { signal });
      for await (const chunk of session ? session.generate(options) : model.generate(prefix, options)) {
        text += chunk.text;
        if (text.trimStart().includes('\n')) break;
      }
      signal.throwIfAborted();
      return text;
    },
    async close() {
      await session?.close();
    },
  };
}
