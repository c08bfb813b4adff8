// What every host of a compiled model computes around the graphs; the duties are listed in ../manifest.ts.
export { embeddingReader, loadEmbedding, type Embedding } from './embedding.ts';
export { halfToFloat } from './half.ts';
export { MASKED, maskRows, pastMask } from './mask.ts';
export { ropeAt, ropeRows, rotationChanges } from './rope.ts';
export { slotRows } from './slots.ts';
