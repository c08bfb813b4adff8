// What requests cost. Prices are per million tokens in one currency, as providers state them.

import type { Usage } from '@baton/runtime/text-model';

export interface Prices {
  input: number;
  /** Default: `input`. */
  cachedInput?: number;
  output: number;
}

/** Price of one request: uncached input, cached input and every generated token, discarded ones included. */
export function priceOf(usage: Usage, prices: Prices): number {
  const cached = Math.min(usage.cachedTokens ?? 0, usage.promptTokens);
  const input = (usage.promptTokens - cached) * prices.input + cached * (prices.cachedInput ?? prices.input);
  return (input + usage.completionTokens * prices.output) / 1e6;
}
