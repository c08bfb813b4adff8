// The Node face: open a model by path or name, its targets, the compile cache.
export { DEMO_MODELS, openLocal, resolveModel, type OpenLocalOptions } from './open-local.ts';
export { nodeTargets } from './targets.ts';
export { openOrtCpu, type OrtCpuOptions } from './ort-cpu.ts';
export { withLock } from './lock.ts';
export { diskFolder, diskStore } from './disk-folder.ts';
export { cacheRoot } from './cache-root.ts';
