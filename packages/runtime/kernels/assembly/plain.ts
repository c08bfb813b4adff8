// The kernels for engines without relaxed SIMD.
export { attend } from './attention';
export { quantizeRow, quantizeValue, readKey } from './cache';
export { floatProduct } from './float';
export { gated } from './gated';
export { int4Plain } from './int4-plain';
export { int8Product } from './int8';
export { softCap, summarize } from './logits';
export { readAll } from './memory';
export { addRmsNorm, rmsNorm, rotateHead } from './norm';
export { quantize } from './quantize';
