// Moves live cache rows: into a cache of another capacity, and together after some in the middle were dropped.
import type { Heap } from './heap.ts';
import type { Kernels } from './kernels.ts';
import { tablesAt } from './network.ts';
import type { CacheLayout, Plan } from './plan.ts';
import { keyLimit } from './plan.ts';

/** Copies slots `first .. first + count - 1` of every layer and head to slot `to` on; the caches may be the same. */
export function moveRows(
  heap: Heap,
  plan: Plan,
  from: CacheLayout,
  target: CacheLayout,
  { first, to, count }: { first: number; to: number; count: number },
): void {
  const bytes = new Uint8Array(heap.memory.buffer);
  /** `row` bytes a slot, slot 0 of the two caches at `a` and `b`. */
  const copy = (a: number, b: number, row: number): void => {
    bytes.copyWithin(b + to * row, a + first * row, a + (first + count) * row);
  };
  const width = plan.headWidth;
  const shorts = new Int16Array(heap.memory.buffer);
  /** Blocks of 16 slots (kernels/assembly/attention.ts): whole ones where both ends begin one, else number by number. */
  const copyValues = (a: number, b: number): void => {
    if (first % 16 === 0 && to % 16 === 0) {
      const slots = Math.ceil(count / 16) * 16;
      bytes.copyWithin(b + to * width * 2, a + first * width * 2, a + (first + slots) * width * 2);
      return;
    }
    const number = (at: number, slot: number): number =>
      at / 2 + (slot >> 4) * 16 * width + ((slot & 15) >> 1) * 16 + (slot & 1);
    for (let s = 0; s < count; s++) {
      const source = number(a, first + s);
      const goal = number(b, to + s);
      for (let group = 0; group < width * 16; group += 128) {
        for (let column = 0; column < 16; column += 2)
          shorts[goal + group + column] = shorts[source + group + column]!;
      }
    }
  };
  for (let layer = 0; layer < plan.layers.length; layer++) {
    const a = from.base + layer * from.layerBytes;
    const b = target.base + layer * target.layerBytes;
    for (let h = 0; h < plan.keyValueHeads; h++) {
      copy(a + h * from.keyHeadBytes, b + h * target.keyHeadBytes, width * 2);
      copyValues(a + from.values + h * from.valueHeadBytes, b + target.values + h * target.valueHeadBytes);
      copy(a + from.keyScales + h * from.slots * 4, b + target.keyScales + h * target.slots * 4, 4);
      copy(a + from.valueScales + h * from.slots * 4, b + target.valueScales + h * target.slots * 4, 4);
    }
  }
}

/**
 * Turns the keys of slots `first .. first + count - 1` back by `positions`. Rotations add up, so a key rotated for
 * position p becomes the key of p - positions; reading and rounding it again costs one more 16-bit rounding.
 */
export function turnBack(
  heap: Heap,
  kernels: Kernels,
  plan: Plan,
  cache: CacheLayout,
  { first, count, positions }: { first: number; count: number; positions: number },
): void {
  const { headWidth: width, headNumbers, keyValueHeads } = plan;
  const row = heap.allocate(width * 4);
  const limit = keyLimit(width);
  for (const [index, layer] of plan.layers.entries()) {
    const { half, cos, sin } = tablesAt(plan.rotary[layer.rotary]!, cache.capacity);
    if (half === 0) continue;
    // Tables carry the attention factor (yarn); at position 0 it stands alone.
    const factor = heap.floats(cos, 1)[0]!;
    const turn = (table: number, sign: number): number =>
      heap.store(heap.floats(table + positions * half * 4, half).map((x) => (sign * x) / factor));
    const back = { cos: turn(cos, 1), sin: turn(sin, -1) };
    const base = cache.base + index * cache.layerBytes;
    for (let h = 0; h < keyValueHeads; h++) {
      const scales = heap.floats(base + cache.keyScales + h * cache.slots * 4, cache.slots);
      for (let slot = first; slot < first + count; slot++) {
        const key = base + h * cache.keyHeadBytes + slot * width * 2;
        kernels.readKey(key, width, scales[slot]!, row);
        kernels.rotateHead(row, headNumbers, half, back.cos, back.sin, 0, 0);
        scales[slot] = kernels.quantizeRow(row, width, limit, key);
      }
    }
    heap.release(back.cos, half * 4);
    heap.release(back.sin, half * 4);
  }
  heap.release(row, width * 4);
}
