// The demo's large model in a worker of this page, so that a hosted page shows the whole relay with no server behind it.
// Opened when a run first needs it: it is four times the small one's download.

import { openWorkerModel, type WorkerModel } from '@baton/runtime/browser';
import { store } from '../state/app-state.ts';

/** Settings value of `endpointKind` for this page itself. */
export const HERE = 'page';

const MODEL_URL = new URL('models/demo-large/', document.baseURI).href;

/** The model that is wanted, and what cancels its opening (it says nothing once the model is open). */
let open: { model: Promise<WorkerModel>; control: AbortController } | null = null;

/**
 * The model, opened if it is not. Rejects with one line that says why it cannot run here; and when `signal` aborts, for the run that
 * wants it is the only one.
 */
export async function largeHere(signal: AbortSignal): Promise<WorkerModel> {
  const { model, control } = (open ??= start());
  const cancel = (): void => control.abort();
  signal.addEventListener('abort', cancel);
  if (signal.aborted) cancel();
  try {
    return await model;
  } finally {
    signal.removeEventListener('abort', cancel);
  }
}

/** Stops fetching or compiling it; the run goes on without it. */
export function cancelLargeHere(): void {
  open?.control.abort();
}

/** Frees its memory when another large model is chosen, also while it is being opened. */
export async function closeLargeHere(): Promise<void> {
  const closing = open;
  open = null;
  closing?.control.abort();
  await closing?.model.then(
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

function start(): NonNullable<typeof open> {
  const control = new AbortController();
  return { model: openHere(control), control };
}

async function openHere(control: AbortController): Promise<WorkerModel> {
  const { small } = store.value;
  store.patch({ large: { status: 'opening', stage: 'starting', fraction: null } });
  try {
    const model = await openWorkerModel(
      { kind: 'checkpoint', url: MODEL_URL },
      {
        // What was measured best for the small model is taken for this one: both run on the same machine.
        ...(small.status === 'ready' && small.here ? { target: small.here } : {}),
        signal: control.signal,
        onProgress: ({ stage, fraction }) => {
          if (!control.signal.aborted)
            store.patch({ large: { status: 'opening', stage, fraction: fraction ?? null } });
        },
      },
    );
    store.patch({ large: { status: 'ready', id: model.id, detail: `in this page, on ${model.location}` } });
    return model;
  } catch (error) {
    // Closed for another large model, which is what the page shows now; or opened anew since.
    if (open?.control !== control) throw error;
    open = null;
    if (control.signal.aborted) showLargeHere();
    else
      store.patch({
        large: { status: 'down', message: error instanceof Error ? error.message : String(error) },
      });
    throw error;
  }
}
