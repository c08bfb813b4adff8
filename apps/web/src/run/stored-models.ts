// The models that this browser keeps: what they take, whether they stay, and the way to keep or delete them.

import { hasOpfs, opfsStore, storeSpace } from '@baton/runtime/browser';
import { store } from '../state/app-state.ts';

export async function readStored(): Promise<void> {
  if (!(await hasOpfs())) {
    store.patch({ stored: { status: 'none' } });
    return;
  }
  const kept = opfsStore();
  const [models, persistence, space] = await Promise.all([kept.list(), kept.persisted(), storeSpace()]);
  store.patch({ stored: { status: 'known', models, persistence, space } });
}

/** Asks the browser to keep them. Only from a click: some ask the person. */
export async function keepStored(): Promise<void> {
  const persistence = await opfsStore().persist();
  const { stored } = store.value;
  if (stored?.status === 'known') store.patch({ stored: { ...stored, persistence } });
}

export async function deleteStored(name: string): Promise<void> {
  await opfsStore().delete(name);
  await readStored();
}
