// The one-time code that the owner reads on the console (or opens as a link) and that a page exchanges for its token.
// A code works once, for ten minutes, and dies after five wrong guesses; it comes from this process or, for a bridge
// without a console, from the invitation file.
import { ApiError } from '../api-error.ts';
import { CODE_LIFE_MS } from './code-life.ts';
import { accept, invited, withdraw } from './invitation.ts';
import { RateLimit } from './rate-limit.ts';
import { newCode, normalCode, sameSecret } from './secrets.ts';
import type { TokenStore } from './token-store.ts';

const MOST_GUESSES = 5;

export interface PairingOptions {
  /** Where `baton-bridge pair` leaves its codes. */
  invitation: string;
  /** Shows a new code to the owner; absent where nobody would see it. */
  announce?: ((code: string) => void) | undefined;
  /** In milliseconds. */
  clock?: () => number;
}

export class Pairing {
  readonly tokens: TokenStore;
  readonly #options: PairingOptions;
  readonly #clock: () => number;
  readonly #limit: RateLimit;
  #code: string | null = null;
  #until = 0;
  #guesses = 0;

  constructor(tokens: TokenStore, options: PairingOptions) {
    this.tokens = tokens;
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#limit = new RateLimit(10, 60_000, this.#clock);
  }

  /** Makes and announces a code; the one before it stops working. Does nothing where nobody would see it. */
  open(): void {
    if (!this.#options.announce) return;
    this.#code = newCode();
    this.#until = this.#clock() + CODE_LIFE_MS;
    this.#guesses = 0;
    this.#options.announce(this.#code);
  }

  /** The token for a right code. Throws 403 for a wrong, used or old one, 429 for too many tries. */
  exchange(code: string, origin: string | null, name: string): string {
    if (!this.#limit.take())
      throw new ApiError(429, 'too many pairing attempts', {
        code: 'pairing_rate',
        headers: { 'retry-after': String(this.#limit.retryAfter) },
      });
    if (this.#clock() > this.#until) this.#code = null;
    const { invitation } = this.#options;
    const right =
      (this.#code !== null && sameSecret(normalCode(code), normalCode(this.#code))) ||
      accept(invitation, code);
    if (right) {
      this.#code = null;
      this.#guesses = 0;
      return this.tokens.issue(origin, name);
    }
    if (this.#code === null && !invited(invitation)) throw this.#nothingOpen();
    if (++this.#guesses >= MOST_GUESSES) {
      this.#code = null;
      this.#guesses = 0;
      withdraw(invitation);
    }
    throw new ApiError(403, 'that is not the code that the bridge shows', { code: 'pairing_code' });
  }

  #nothingOpen(): ApiError {
    this.open();
    const where =
      this.#code === null ? 'run "baton-bridge pair" for one' : 'a new one is shown on the bridge’s console';
    return new ApiError(403, `there was no valid code; ${where}`, { code: 'pairing_code' });
  }
}
