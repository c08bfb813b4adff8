// A request body that is sent while it is still being written.

import { Channel } from '../channel.ts';

export class GrowingBody {
  /** What is sent, piece by piece; can be read once. */
  readonly pieces = new Channel<string>();
  /** Resolves when the body is complete: an answer cannot be waited for before. */
  readonly whole: Promise<void>;
  readonly #finish: () => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.whole = promise;
    this.#finish = resolve;
  }

  write(piece: string): void {
    if (piece !== '') this.pieces.push(piece);
  }

  end(piece: string): void {
    this.write(piece);
    this.pieces.close();
    this.#finish();
  }
}
