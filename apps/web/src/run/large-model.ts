// The large model as the settings describe it: asked what it can do while the small one writes, and tested when a person wants it.

import type { TextModel } from '@baton/runtime/text-model';
import { apiBase, connectOnDemand, presetByName, probeEndpoint, type EndpointOptions } from '@baton/split';
import type { Trace } from '@baton/split/trace';
import { store, type LargeState } from '../state/app-state.ts';
import type { Settings } from '../state/settings.ts';
import { HERE, closeLargeHere, largeHere, showLargeHere } from './large-here.ts';
import { throughBridge } from './bridge.ts';
import { recordingFetch } from './sent-log.ts';

let kept: { key: string; model: TextModel } | null = null;

function options(settings: Settings): EndpointOptions {
  return {
    url: settings.endpointUrl,
    fetch: recordingFetch,
    // A page has a person waiting: a dead endpoint must show within seconds.
    connectMs: 10_000,
    retries: 1,
    ...(settings.endpointModel === '' ? {} : { model: settings.endpointModel }),
    ...(settings.apiKey === '' ? {} : { apiKey: settings.apiKey }),
  };
}

/** The large model, or null where none is configured. An endpoint that is down is found out by the relay. */
export async function largeModel(signal: AbortSignal): Promise<TextModel | null> {
  const settings = throughBridge(store.value.settings);
  // Where it cannot be opened, the small model goes on alone; the page shows why.
  if (settings.endpointKind === HERE) return largeHere(signal).catch(() => null);
  await closeLargeHere();
  if (settings.endpointUrl.trim() === '') return null;
  const key = keyOf(store.value.settings);
  if (kept?.key === key) return kept.model;
  const model = connectOnDemand({
    ...options(settings),
    ...(settings.endpointKind === 'auto' ? {} : { preset: settings.endpointKind }),
    // The relay carries on alone and says so in the trace; the settings show it as well.
    onFailure: (error) => {
      if (kept?.model !== model) return;
      const message = error instanceof Error ? error.message : String(error);
      store.patch({ large: { status: 'down', message } });
    },
  });
  kept = { key, model };
  return model;
}

/** Of the settings that make another large model. */
function keyOf(settings: Settings): string {
  const { endpointUrl, endpointModel, endpointKind, apiKey, bridgeUrl, bridgeToken } = settings;
  return JSON.stringify([endpointUrl, endpointModel, endpointKind, apiKey, bridgeUrl, bridgeToken]);
}

/** What a finished run has shown of it. The demo's in this page speaks for itself. */
export function showLargeModel(model: TextModel | null, { segments }: Trace): void {
  const chosen = kept?.key === keyOf(store.value.settings) ? kept.model : null;
  const last = segments.findLast(({ origin }) => origin === 'large');
  if (!model || model !== chosen || !last) return;
  if (last.reason === 'endpoint-error')
    store.patch({ large: { status: 'down', message: last.detail ?? 'it failed in the last run' } });
  else if (last.tokens > 0 && store.value.large.status !== 'ready')
    store.patch({
      large: { status: 'ready', id: model.id, detail: `at ${new URL(model.location).host}` },
    });
}

/** Says what is known without sending anything that costs: the model list, one GET. */
export async function checkEndpoint(): Promise<void> {
  if (store.value.settings.endpointKind === HERE) {
    showLargeHere();
    return;
  }
  await report(async () => {
    const settings = throughBridge(store.value.settings);
    if (settings.endpointUrl.trim() === '') return { status: 'none' };
    const headers = settings.apiKey === '' ? {} : { authorization: `Bearer ${settings.apiKey}` };
    const base = apiBase(settings.endpointUrl);
    let response: Response;
    try {
      response = await recordingFetch(`${base}/models`, { headers, signal: AbortSignal.timeout(10_000) });
    } catch (error) {
      throw new Error(`nothing answers at ${base}; start it, or check the address and its allowed origins`, {
        cause: error,
      });
    }
    if (!response.ok) throw new Error(`${base}/models answered ${response.status}${hint(response.status)}`);
    const list = (await response.json()) as { data?: { id?: string }[] };
    const ids = (list.data ?? []).flatMap(({ id }) => (typeof id === 'string' ? [id] : []));
    const id = settings.endpointModel === '' ? ids[0] : settings.endpointModel;
    if (id === undefined) throw new Error(`${base} lists no model; name one in the settings`);
    if (ids.length > 0 && !ids.includes(id))
      throw new Error(`${base} has no model "${id}"; it has ${ids.slice(0, 4).join(', ')}`);
    return { status: 'ready', id, detail: `at ${new URL(base).host}` };
  });
}

/** The full test: a handful of one-token requests that find out how the endpoint continues a thought. */
export async function testEndpoint(): Promise<void> {
  kept = null;
  await report(async () => {
    const settings = throughBridge(store.value.settings);
    const { host } = new URL(apiBase(settings.endpointUrl));
    if (settings.endpointKind !== 'auto') presetByName(settings.endpointKind);
    const probe = await probeEndpoint({ ...options(settings), retries: 0 });
    if (probe.continuation === null)
      throw new Error(`${host} can neither complete text nor chat: ${probe.remarks.join('; ')}`);
    const how =
      probe.continuation === 'raw' ? 'continues raw text' : `chat continuation (${probe.continuation})`;
    const counts = probe.logprobs ? 'gives log-probabilities' : 'no log-probabilities';
    return {
      status: 'ready',
      id: probe.model,
      detail: `at ${host}: ${how}, ${counts}, ${Math.round(probe.latencyMs)} ms for one token`,
    };
  });
}

async function report(work: () => Promise<LargeState>): Promise<void> {
  store.patch({ large: { status: 'checking' } });
  try {
    store.patch({ large: await work() });
  } catch (error) {
    store.patch({
      large: { status: 'down', message: error instanceof Error ? error.message : String(error) },
    });
  }
}

function hint(status: number): string {
  if (status === 401 || status === 403) return '; check the API key';
  if (status === 404) return '; check the address (it usually ends in /v1)';
  return '';
}
