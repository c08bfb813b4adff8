// The demo's large model in a worker of this page, so that a hosted page shows the whole relay with no server behind it.
// Opened when a run first needs it: it is four times the small one's download.

import { openWorkerModel, type WorkerModel } from '@baton/runtime/browser';
import { store } from '../state/app-state.ts';

/** Settings value of `endpointKind` for this page itself. */
export const HERE = 'page';

const MODEL_URL = new URL('models/demo-large/', document.baseURI).href;

let open: Promise<WorkerModel> | null = null;

/** The model, opened if it is not. Rejects with one line that says why it cannot run here. */
export function largeHere(): Promise<WorkerModel> {
  open ??= start();
  open.catch(() => (open = null));
  return open;
}

/** Frees its memory when another large model is chosen. */
export async function closeLargeHere(): Promise<void> {
  const model = open;
  open = null;
  await model?.then(
    (m) => m.close(),
    () => undefined,
  );
}

/** What is known of it before it is opened. */
export function showLargeHere(): void {
  store.patch({
    large: {
      status: 'ready',
      id: 'demo-large',
      detail: open ? 'in this page' : 'in this page, opened when first asked',
    },
  });
}

async function start(): Promise<WorkerModel> {
  const { small } = store.value;
  store.patch({ large: { status: 'opening', stage: 'starting', fraction: null } });
  try {
    const model = await openWorkerModel(
      { kind: 'checkpoint', url: MODEL_URL },
      {
        // What was measured best for the small model is taken for this one: both run on the same machine.
        ...(small.status === 'ready' && small.here ? { target: small.here } : {}),
        onProgress: ({ stage, fraction }) =>
          store.patch({ large: { status: 'opening', stage, fraction: fraction ?? null } }),
      },
    );
    store.patch({ large: { status: 'ready', id: model.id, detail: `in this page, on ${model.location}` } });
    return model;
  } catch (error) {
    store.patch({
      large: { status: 'down', message: error instanceof Error ? error.message : String(error) },
    });
    throw error;
  }
}
