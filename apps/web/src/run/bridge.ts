// The bridge on this machine, as the settings know it: looked for when a person asks (which is what makes the browser ask
// for access to this device), paired once, then used as the small model, the large one, or both.

import {
  asksQuietly,
  askBridge,
  openBridge,
  pairWithBridge,
  type BridgeModel,
  type BridgeState,
} from '@baton/bridge/client';
import { EndpointError } from '@baton/split';
import { changeSettings, store } from '../state/app-state.ts';
import type { Settings } from '../state/settings.ts';
import type { BridgeOffer } from './bridge-link.ts';

/** Settings value of `endpointKind` for the bridge as the large model. */
export const BRIDGE = 'bridge';

/**
 * The settings with the bridge's address and token in the place of the endpoint's, where it is the large model. Throws for an
 * address that is not on this machine.
 */
export function throughBridge(settings: Settings): Settings {
  if (settings.endpointKind !== BRIDGE) return settings;
  const { bridgeUrl, bridgeToken } = settings;
  return {
    ...settings,
    endpointUrl: loopback(bridgeUrl),
    endpointModel: '',
    endpointKind: 'baton',
    apiKey: bridgeToken,
  };
}

/** Shows a link's bridge in the settings; nothing of it is kept, and nothing sent to it, before a click. */
export function offerBridge({ url, code }: BridgeOffer): void {
  store.patch({ openPanel: 'settings' });
  try {
    store.patch({ bridgeOffer: { url: loopback(url), code } });
  } catch (error) {
    store.patch({ bridge: { status: 'trouble', message: messageOf(error) } });
  }
}

/** A link's bridge while it is on offer, which gets no other bridge's token; else the settings'. */
function candidate(): Pick<Settings, 'bridgeUrl' | 'bridgeToken'> {
  const { bridgeOffer, settings } = store.value;
  return bridgeOffer ? { bridgeUrl: bridgeOffer.url, bridgeToken: '' } : settings;
}

/** From here on the settings', and no offer any more. */
function keep(bridgeUrl: string, bridgeToken: string): void {
  changeSettings({ bridgeUrl, bridgeToken });
  store.patch({ bridgeOffer: null });
}

/** Asks the bridge who it is, and shows the answer. Only from a click, unless `asksQuietly`. */
export async function lookForBridge(): Promise<void> {
  const { bridgeUrl, bridgeToken } = candidate();
  await report(async () => {
    const { host } = new URL(loopback(bridgeUrl));
    const state = await askBridge(bridgeUrl);
    if (!state.found) throw new Error(trouble(state.reason, host));
    if (state.pairing === 'required' && bridgeToken === '') {
      store.patch({ bridge: { status: 'unpaired', message: '' } });
      return;
    }
    if (store.value.bridgeOffer) keep(bridgeUrl, bridgeToken);
    await meet();
  });
}

/** Exchanges the code for this page's own token, which stays in this browser until it is forgotten or revoked. */
export async function pairBridge(code: string): Promise<void> {
  const { bridgeUrl } = candidate();
  store.patch({ bridge: { status: 'asking' } });
  try {
    const token = await pairWithBridge(loopback(bridgeUrl), code, document.title || 'page');
    keep(bridgeUrl, token);
  } catch (error) {
    store.patch({ bridge: { status: 'unpaired', message: messageOf(error) } });
    return;
  }
  await report(meet);
}

export function forgetBridge(): void {
  changeSettings({ bridgeToken: '' });
  store.patch({ bridge: { status: 'unknown' } });
}

/** The bridge's model for the small side. Rejects with one line that says what to do. */
export async function smallOnBridge(settings: Settings): Promise<BridgeModel> {
  const url = loopback(settings.bridgeUrl);
  if (!(await asksQuietly(url)) && store.value.bridge.status !== 'ready')
    throw new Error('this page has not asked the bridge yet: open Settings and look for it');
  const model = await open(settings);
  if (model) return model;
  throw new Error(
    `the bridge at ${new URL(url).host} serves a relay; as the small model it must serve one model`,
  );
}

async function open(settings: Settings): Promise<BridgeModel | null> {
  const { bridgeUrl: url, bridgeToken: token } = settings;
  try {
    return await openBridge({ url, ...(token === '' ? {} : { token }) }, AbortSignal.timeout(20_000));
  } catch (error) {
    const { host } = new URL(url);
    if (error instanceof EndpointError && error.status === 401) {
      store.patch({ bridge: { status: 'unpaired', message: 'this page is not paired any more' } });
      throw new Error(`the bridge at ${host} does not know this page: pair it again in Settings`, {
        cause: error,
      });
    }
    const state = await askBridge(url);
    throw new Error(state.found ? messageOf(error) : trouble(state.reason, host), { cause: error });
  }
}

async function meet(): Promise<void> {
  const { settings } = store.value;
  const model = await open(settings);
  const { host } = new URL(settings.bridgeUrl);
  store.patch({
    bridge: {
      status: 'ready',
      detail: model ? `${model.id} on ${model.target}` : `a relay at ${host}`,
      sessions: model !== null,
    },
  });
}

async function report(work: () => Promise<void>): Promise<void> {
  store.patch({ bridge: { status: 'asking' } });
  try {
    await work();
  } catch (error) {
    // Being told to pair is more useful than the failure that led to it.
    if (store.value.bridge.status !== 'unpaired')
      store.patch({ bridge: { status: 'trouble', message: messageOf(error) } });
  }
}

type Reason = Extract<BridgeState, { found: false }>['reason'];

function trouble(reason: Reason, host: string): string {
  switch (reason) {
    case 'absent':
      return `No bridge answers at ${host}. Start it with the command above, or correct the address.`;
    case 'refused':
      return `The bridge at ${host} does not list this page. Start it with --allow-origin ${location.origin}`;
    case 'blocked':
      return `This browser keeps the page from reaching programs on this device. Allow it in the site’s settings (beside the address), then try again.`;
    case 'foreign':
      return `Something other than a bridge answers at ${host}.`;
  }
}

/** Throws for an address that is not on this machine: the bridge is never elsewhere. */
function loopback(address: string): string {
  const url = URL.parse(address);
  const own = url && ['127.0.0.1', 'localhost', '[::1]'].includes(url.hostname) && url.protocol === 'http:';
  if (own) return address;
  throw new Error(
    `“${address}” is not on this machine; the bridge’s address looks like http://127.0.0.1:8787`,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
