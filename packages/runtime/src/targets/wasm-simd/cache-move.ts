// Copies live cache rows between layouts (another capacity).
import type { Heap } from './heap.ts';
import type { CacheLayout, Plan } from './plan.ts';

/** Copies slots 0 .. live - 1 of every layer and head. */
export function moveRows(heap: Heap, plan: Plan, from: CacheLayout, to: CacheLayout, live: number): void {
  const bytes = new Uint8Array(heap.memory.buffer);
  const copy = (source: number, target: number, length: number): void =>
    void bytes.copyWithin(target, source, source + length);
  const blocks = plan.headWidth / 16;
  for (let layer = 0; layer < plan.layers.length; layer++) {
    const a = from.base + layer * from.layerBytes;
    const b = to.base + layer * to.layerBytes;
    for (let h = 0; h < plan.keyValueHeads; h++) {
      copy(a + h * from.keyHeadBytes, b + h * to.keyHeadBytes, live * plan.headWidth * 2);
      for (let d = 0; d < blocks; d++) {
        copy(
          a + from.values + h * from.valueHeadBytes + d * from.capacity * 32,
          b + to.values + h * to.valueHeadBytes + d * to.capacity * 32,
          live * 32,
        );
      }
      copy(a + from.keyScales + h * from.capacity * 4, b + to.keyScales + h * to.capacity * 4, live * 4);
      copy(a + from.valueScales + h * from.capacity * 4, b + to.valueScales + h * to.capacity * 4, live * 4);
    }
  }
}
