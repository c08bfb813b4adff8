// What happens when the page opens: the server's own settings are read, the small model is opened, the large one asked for
// its name, and meanwhile the targets are probed.

import { probeTargets } from '@baton/runtime/browser';
import { changeSettings, store, type Problem } from '../state/app-state.ts';
import { DEFAULTS } from '../state/settings.ts';
import { asksQuietly } from '@baton/bridge/client';
import { lookForBridge, offerBridge, pairBridge } from './bridge.ts';
import { takeBridgeLink, type BridgeLink } from './bridge-link.ts';
import { loadHistory } from './history.ts';
import { checkEndpoint } from './large-model.ts';
import { smallModel } from './small-model.ts';

/** What the server that serves the page may say beside it, in baton-config.json. */
interface PageConfig {
  endpoint?: { url: string; model?: string; kind?: string };
  /** The bridge that serves this page. */
  bridge?: { url: string };
}

export async function boot(): Promise<void> {
  const link = takeBridgeLink();
  await readConfig();
  await meetBridge(link);
  await Promise.all([
    // None of these may hold up the model: asking for a GPU can take seconds, or for ever where its driver hangs.
    readProblems(),
    readTargets(),
    loadHistory(),
    checkEndpoint(),
    // Its failure is in the store, with the reason.
    smallModel().catch(() => undefined),
  ]);
}

/** Without a click only where the browser will not ask: the page is the bridge's own, or has been allowed before. */
async function meetBridge(link: BridgeLink | null): Promise<void> {
  const { bridgeUrl, bridgeToken, smallKind } = store.value.settings;
  const own = bridgeUrl === location.origin;
  const offered = link?.url ?? location.origin;
  if (link && own && offered === bridgeUrl) {
    await pairBridge(link.code);
    // Whoever opens the bridge's own link wants its model.
    const { bridge } = store.value;
    if (smallKind === 'demo' && bridge.status === 'ready' && bridge.sessions)
      changeSettings({ smallKind: 'bridge' });
    return;
  }
  if (link) offerBridge({ url: offered, code: link.code });
  else if (own || (bridgeToken !== '' && (await asksQuietly(bridgeUrl)))) await lookForBridge();
}

async function readConfig(): Promise<void> {
  const config = await readJson<PageConfig>('baton-config.json');
  if (config?.bridge) {
    const { bridgeUrl } = store.value.settings;
    if (bridgeUrl !== config.bridge.url) changeSettings({ bridgeUrl: config.bridge.url, bridgeToken: '' });
  }
  if (store.value.settings.endpointOwn) return;
  const { endpoint } = config ?? {};
  // What another server named before is forgotten with it.
  const { endpointUrl, endpointModel, endpointKind } = DEFAULTS;
  changeSettings(
    endpoint
      ? {
          endpointUrl: endpoint.url,
          endpointModel: endpoint.model ?? '',
          endpointKind: endpoint.kind ?? 'auto',
        }
      : { endpointUrl, endpointModel, endpointKind },
  );
}

async function readProblems(): Promise<void> {
  const problems = (await readJson<Problem[]>('problems.json')) ?? [];
  store.patch({ problems, question: store.value.question || (problems[0]?.question ?? '') });
}

async function readTargets(): Promise<void> {
  store.patch({ targets: await probeTargets() });
}

async function readJson<T>(name: string): Promise<T | null> {
  try {
    const response = await fetch(new URL(name, document.baseURI));
    return response.ok ? ((await response.json()) as T) : null;
  } catch {
    return null;
  }
}
