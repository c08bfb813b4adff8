// The small model's life in the page: opened in a worker on the target that the settings ask for, kept between runs,
// opened anew when the target changes.

import { openWorkerModel, type WorkerModel } from '@baton/runtime/browser';
import { store } from '../state/app-state.ts';
import type { Settings } from '../state/settings.ts';

/** The demo checkpoint lies beside the page. */
const MODEL_URL = new URL('models/demo-small/', document.baseURI).href;

let open: { target: Settings['target']; model: Promise<WorkerModel> } | null = null;

/** The model, opened if it is not. Rejects with one line that says why no target could run it. */
export function smallModel(): Promise<WorkerModel> {
  const { target } = store.value.settings;
  if (open?.target === target) return open.model;
  const previous = open;
  const model = start(target, previous?.model);
  open = { target, model };
  model.catch(() => {
    // The next try starts afresh.
    if (open?.model === model) open = null;
  });
  return model;
}

/** Shows the target that is in use now; it changes when one is lost. */
export function showSmallModel(model: WorkerModel): void {
  store.patch({
    small: {
      status: 'ready',
      id: model.id,
      target: model.location,
      description: model.description,
      failures: [...model.failures],
    },
  });
}

async function start(
  target: Settings['target'],
  previous: Promise<WorkerModel> | undefined,
): Promise<WorkerModel> {
  const current = (): boolean => store.value.settings.target === target;
  store.patch({ small: { status: 'opening', stage: 'starting', fraction: null } });
  try {
    // Two models at once would hold the memory twice.
    await previous?.then(
      (model) => model.close(),
      () => undefined,
    );
    const model = await openWorkerModel(
      { kind: 'checkpoint', url: MODEL_URL },
      {
        ...(target === 'auto' ? {} : { target }),
        onProgress: ({ stage, fraction }) => {
          if (current()) store.patch({ small: { status: 'opening', stage, fraction: fraction ?? null } });
        },
      },
    );
    if (current()) showSmallModel(model);
    return model;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (current()) store.patch({ small: { status: 'failed', message } });
    throw error;
  }
}
