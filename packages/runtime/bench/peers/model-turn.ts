// A turn of Baton, the same in Node and in a page: a conversation of its own, fed and asked through the public face.
import type { TextSession } from '../../src/text-model.ts';
import { prompt, timeTokens, type Turn, type TurnTimes } from './turn.ts';

export async function modelTurn(
  model: { openSession(): Promise<TextSession> },
  turn: Turn,
): Promise<TurnTimes> {
  const session = await model.openSession();
  try {
    return await timeTokens(async function* () {
      await session.sync(prompt(turn.context));
      for await (const { tokenIds } of session.generate({ maxTokens: turn.tokens }))
        for (const _ of tokenIds) yield performance.now();
    }, turn);
  } finally {
    await session.close();
  }
}
