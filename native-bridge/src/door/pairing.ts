// The one-time code that the owner reads on the console (or opens as a link) and that a page exchanges for its token.
// A code works once, for ten minutes, and dies after five wrong guesses.
import { ApiError } from '../api-error.ts';
import { RateLimit } from './rate-limit.ts';
import { newCode, normalCode, sameSecret } from './secrets.ts';
import type { TokenStore } from './token-store.ts';

const CODE_LIFE_MS = 10 * 60_000;
const MOST_GUESSES = 5;

export class Pairing {
  readonly tokens: TokenStore;
  readonly #announce: (code: string) => void;
  readonly #clock: () => number;
  readonly #limit: RateLimit;
  #code: string | null = null;
  #until = 0;
  #guesses = 0;

  /** `announce` shows a new code to the owner. `clock` in milliseconds. */
  constructor(
    tokens: TokenStore,
    announce: (code: string) => void,
    clock: () => number = () => performance.now(),
  ) {
    this.tokens = tokens;
    this.#announce = announce;
    this.#clock = clock;
    this.#limit = new RateLimit(10, 60_000, clock);
  }

  /** Makes and announces a code; the one before it stops working. */
  open(): string {
    this.#code = newCode();
    this.#until = this.#clock() + CODE_LIFE_MS;
    this.#guesses = 0;
    this.#announce(this.#code);
    return this.#code;
  }

  /** The token for a right code. Throws 403 for a wrong, used or old one, 429 for too many tries. */
  exchange(code: string, origin: string | null, name: string): string {
    if (!this.#limit.take())
      throw new ApiError(429, 'too many pairing attempts', {
        code: 'pairing_rate',
        headers: { 'retry-after': String(this.#limit.retryAfter) },
      });
    const current = this.#code;
    if (current === null || this.#clock() > this.#until) {
      this.open();
      throw new ApiError(403, 'there was no valid code; a new one is shown on the bridge’s console', {
        code: 'pairing_code',
      });
    }
    if (!sameSecret(normalCode(code), normalCode(current))) {
      if (++this.#guesses >= MOST_GUESSES) this.#code = null;
      throw new ApiError(403, 'that is not the code shown on the bridge’s console', { code: 'pairing_code' });
    }
    this.#code = null;
    return this.tokens.issue(origin, name);
  }
}
