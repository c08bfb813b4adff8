// Ties an element to the store: it renders again whenever the store changes.

import type { ReactiveController, ReactiveControllerHost } from 'lit';
import { store, type AppState } from './app-state.ts';

export class StoreController implements ReactiveController {
  readonly #host: ReactiveControllerHost;
  #leave: (() => void) | null = null;

  constructor(host: ReactiveControllerHost) {
    this.#host = host;
    host.addController(this);
  }

  get value(): Readonly<AppState> {
    return store.value;
  }

  hostConnected(): void {
    this.#leave = store.subscribe(() => {
      this.#host.requestUpdate();
      return this.#host.updateComplete;
    });
  }

  hostDisconnected(): void {
    this.#leave?.();
    this.#leave = null;
  }
}
