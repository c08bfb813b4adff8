// One turn of a subject: a prompt from an empty cache, then some tokens. The same for every runtime, through its own public
// way of generating text, greedy, and timed where the text arrives.

export interface Turn {
  /** Tokens of the prompt. */
  context: number;
  /** Tokens to generate: the first belongs to the prompt's time, the others are decode steps. */
  tokens: number;
}

export interface TurnTimes {
  /** From the request to the first token. */
  firstMs: number;
  /** Milliseconds per token behind it, each the mean of four in a row: some runtimes hand tokens over in bunches. */
  stepMs: number[];
}

/** A subject that is loaded. */
export interface Runner {
  turn(turn: Turn): Promise<TurnTimes>;
  /** Version and build in one line, as the runtime tells it. */
  description: string;
  close(): Promise<void>;
}

/** `context` ASCII characters: as many tokens in every runtime (byte-vocabulary.ts). */
export function prompt(context: number): string {
  return 'abcdefg '.repeat(Math.ceil(context / 8)).slice(0, context);
}

const MEAN_OF = 4;

/**
 * Times of a stream that gives the moment at which each token arrived, read to its end; what comes behind the last wanted
 * token does not count. Throws when the stream ends early: a figure for fewer tokens would be a figure for something else.
 */
export async function timeTokens(
  stream: () => AsyncIterable<number>,
  { tokens, context }: Turn,
): Promise<TurnTimes> {
  const start = performance.now();
  const arrived: number[] = [];
  for await (const moment of stream()) if (arrived.length < tokens) arrived.push(moment);
  if (arrived.length < tokens)
    throw new Error(`ended after ${arrived.length} of ${tokens} tokens at ${context} of context`);
  const stepMs: number[] = [];
  for (let i = MEAN_OF; i < arrived.length; i += MEAN_OF)
    stepMs.push((arrived[i]! - arrived[i - MEAN_OF]!) / MEAN_OF);
  return { firstMs: arrived[0]! - start, stepMs };
}
