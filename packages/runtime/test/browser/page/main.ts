// What the browser tests call in the page: the runtime's browser face, as it is.
import * as browser from '../../../src/browser/index.ts';

declare global {
  interface Window {
    baton: typeof browser;
  }
}

window.baton = browser;
