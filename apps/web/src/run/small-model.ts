// The small model's life in the page: opened in a worker on the target that the settings ask for, kept between runs,
// opened anew when the target or the checkpoint changes.

import { openWorkerModel, type WorkerModel } from '@baton/runtime/browser';
import { BridgeModel } from '@baton/bridge/client';
import type { TextModel } from '@baton/runtime/text-model';
import { goesOn, store } from '../state/app-state.ts';
import { smallOnBridge } from './bridge.ts';
import { smallOnServer } from './small-on-server.ts';
import { smallSource } from './small-source.ts';

/** In a worker of this page, on the bridge, or on a server. */
export type SmallModel = WorkerModel | TextModel;

/** Of the model that is being opened in this page. */
let opening: AbortController | null = null;

let open: { key: string; model: Promise<SmallModel> } | null = null;

/** The model, opened if it is not. Rejects with one line that says why no target could run it. */
export function smallModel(): Promise<SmallModel> {
  const key = wanted();
  if (open?.key === key) return open.model;
  const model = start(key, open?.model);
  open = { key, model };
  model.catch(() => {
    // The next try starts afresh.
    if (open?.model === model) open = null;
  });
  return model;
}

/** Stops fetching or compiling it; what was downloaded stays, and it is opened again when it is wanted. */
export function cancelSmallModel(): void {
  opening?.abort();
}

/** Shows the target that is in use now; it changes when one is lost. */
export function showSmallModel(model: SmallModel): void {
  const base = { status: 'ready' as const, id: model.id, target: model.location };
  if (!isHere(model)) {
    const description = model instanceof BridgeModel ? 'through the bridge' : 'on a server';
    store.patch({ small: { ...base, here: null, description, failures: [] } });
    return;
  }
  const { location } = model;
  store.patch({
    small: {
      ...base,
      here: location,
      description: model.description,
      failures: [...model.failures],
    },
  });
}

function isHere(model: SmallModel): model is WorkerModel {
  return 'measured' in model;
}

/** What the settings ask for now, as a key. */
function wanted(): string {
  const { settings, hubToken, smallKey } = store.value;
  const { target, smallKind, smallAddress, smallWeights, bridgeUrl, bridgeToken } = settings;
  if (smallKind === 'server')
    return JSON.stringify([smallKind, settings.smallServer, settings.smallServerModel, smallKey]);
  if (smallKind === 'bridge') return JSON.stringify([smallKind, bridgeUrl, bridgeToken]);
  return JSON.stringify(
    smallKind === 'demo' ? [target] : [target, smallKind, smallAddress, smallWeights, hubToken],
  );
}

async function start(key: string, previous: Promise<SmallModel> | undefined): Promise<SmallModel> {
  const current = (): boolean => wanted() === key;
  const { settings, hubToken, smallKey } = store.value;
  const { target } = settings;
  const here = settings.smallKind !== 'bridge' && settings.smallKind !== 'server';
  const control = new AbortController();
  // Nobody wants any more what is being opened.
  opening?.abort();
  opening = here ? control : null;
  store.patch({ small: { status: 'opening', stage: 'starting', fraction: null, here } });
  try {
    // Two models at once would hold the memory twice.
    await previous?.then(
      (model) => (isHere(model) ? model.close() : undefined),
      () => undefined,
    );
    if (settings.smallKind === 'bridge') {
      const model = await smallOnBridge(settings);
      if (current()) showSmallModel(model);
      return model;
    }
    if (settings.smallKind === 'server') {
      const model = await smallOnServer(settings, smallKey);
      if (current()) showSmallModel(model);
      return model;
    }
    const model = await openWorkerModel(smallSource(settings, hubToken), {
      signal: control.signal,
      ...(target === 'auto' ? {} : { target }),
      // A first visit is ready within seconds; what is found to be faster meanwhile takes over between runs.
      measure: 'after',
      onProgress: ({ stage, fraction }) => {
        const progress = { status: 'opening', stage, fraction: fraction ?? null, here } as const;
        if (current() && !control.signal.aborted) store.patch({ small: progress });
      },
    });
    if (current()) showSmallModel(model);
    void model.measured.then(
      (fastest) => {
        const { run } = store.value;
        const busy = goesOn(run);
        if (!current() || fastest === model.location || busy) return;
        open = null;
        void model.close();
        smallModel().catch(() => undefined);
      },
      () => undefined,
    );
    return model;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (current())
      store.patch({ small: control.signal.aborted ? { status: 'closed' } : { status: 'failed', message } });
    throw error;
  } finally {
    if (opening === control) opening = null;
  }
}
