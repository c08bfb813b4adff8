// What the browser tests call in the page: the runtime's browser face, as it is, and what lies behind it for tests that
// put a fault between Baton and ONNX Runtime.
import * as browser from '../../../src/browser/index.ts';
import { openOrtWeb } from '../../../src/browser/ort-host.ts';
import { buildFor, loadOrt } from '../../../src/browser/ort-loader.ts';
import { urlFiles } from '../../../src/browser/url-files.ts';
import { parseManifest } from '@baton/compiler/manifest';

const inside = { openOrtWeb, buildFor, loadOrt, urlFiles, parseManifest };

declare global {
  interface Window {
    baton: typeof browser;
    inside: typeof inside;
  }
}

window.baton = browser;
window.inside = inside;
