// AssemblyScript, not TypeScript. Everything that happens to weights between checkpoint and model; the host
// (src/weights/convert.ts) passes addresses, 16-byte aligned, and reads the results there.
export { lastSquaredError, lastSquaredSum } from './errors';
export { measure, narrowF16, widenBf16, widenF16 } from './floats';
export { quantise } from './quantise';

/** First free byte of memory. */
export function heapStart(): usize {
  return (__heap_base + 15) & ~15;
}
