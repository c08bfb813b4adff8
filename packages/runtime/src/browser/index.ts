// The browser's face: probe targets, open a model in a worker.
export { openWorkerModel, WorkerModel, type OpenWorkerOptions } from './client.ts';
export type { ModelSource } from './model-source.ts';
export { BROWSER_TARGETS, browserTargets, probeTargets } from './targets.ts';
export { hasOpfs, opfsStore, storeSpace } from './opfs-folder.ts';
export { ModelStore, type DownloadProgress, type StoredModel } from '../store/model-store.ts';
export type { Persistence } from '../store/folder.ts';
export { urlFiles } from './url-files.ts';
export type { Progress } from './worker-face.ts';
