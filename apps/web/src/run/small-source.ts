// Which checkpoint the small model is: the demo beside the page, one of the Hugging Face hub, or a folder at an address.
// A checkpoint is compiled in the page's worker and kept in this browser.

import type { ModelSource } from '@baton/runtime/browser';
import type { Settings } from '../state/settings.ts';

const DEMO_URL = new URL('models/demo-small/', document.baseURI).href;
/** Slots that a chosen checkpoint gets: its cache grows from the first to the last. */
const CAPACITIES = [1024, 4096];

/** Throws one line that says what is missing or wrong in the settings. */
export function smallSource(
  settings: Pick<Settings, 'smallKind' | 'smallAddress' | 'smallWeights'>,
  token: string,
): ModelSource {
  const { smallKind, smallWeights } = settings;
  const address = settings.smallAddress.trim();
  const compile = { weights: smallWeights, context: CAPACITIES };
  switch (smallKind) {
    case 'demo':
      return { kind: 'checkpoint', url: DEMO_URL };
    case 'hub': {
      const [id = '', revision] = address.split('@');
      if (!/^[\w.-]+\/[\w.-]+$/.test(id))
        throw new Error(`"${address}" is no Hugging Face id; write owner/name, or owner/name@revision`);
      return {
        kind: 'hub',
        id,
        compile,
        ...(revision ? { revision } : {}),
        ...(token === '' ? {} : { token }),
      };
    }
    case 'bridge':
    case 'server':
      throw new Error('a server has its own models');
    case 'url': {
      if (!URL.canParse(address) || !/^https?:/.test(address))
        throw new Error(`"${address}" is no address; write the one of the folder that holds config.json`);
      return { kind: 'checkpoint', url: address, compile };
    }
  }
}
