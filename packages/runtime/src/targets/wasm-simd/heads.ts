// What happens to one head's row once it is computed: queries and keys are normalised and rotated, keys and values are
// quantised into the cache.
import type { Kernels } from './kernels.ts';
import { tablesAt } from './network.ts';
import type { LayerPlan, Plan } from './plan.ts';
import { keyLimit } from './plan.ts';
import type { Pass } from './program.ts';

/** `(t, head, row)`: finishes head `head` (queries, keys, values counted on) of token t, whose heads start at `row`. */
export function headFinisher(
  k: Kernels,
  memory: WebAssembly.Memory,
  plan: Plan,
  layer: LayerPlan,
  index: number,
  { cache, position }: Pass,
): (t: number, head: number, row: number) => void {
  const { heads, keyValueHeads, headWidth: width, headNumbers, epsilon } = plan;
  const floats = new Float32Array(memory.buffer);
  const base = cache.base + index * cache.layerBytes;
  const rotary = tablesAt(plan.rotary[layer.rotary]!, cache.capacity);
  const limit = keyLimit(width);
  const rotate = (at: number, slot: number, norm: number): void => {
    const angles = slot * rotary.half * 4;
    k.rotateHead(
      at,
      headNumbers,
      rotary.half,
      rotary.cos + angles,
      rotary.sin + angles,
      layer.wholeNorm ? 0 : norm,
      epsilon,
    );
  };
  return (t, head, row) => {
    const at = row + head * width * 4;
    const slot = position + t;
    if (head < heads) {
      rotate(at, slot, layer.queryNorm);
    } else if (head < heads + keyValueHeads) {
      const h = head - heads;
      rotate(at, slot, layer.keyNorm);
      const scale = k.quantizeRow(at, width, limit, base + h * cache.keyHeadBytes + slot * width * 2);
      floats[(base + cache.keyScales) / 4 + h * cache.slots + slot] = scale;
    } else {
      const h = head - heads - keyValueHeads;
      const scale = k.quantizeValue(at, width, base + cache.values + h * cache.valueHeadBytes, slot);
      floats[(base + cache.valueScales) / 4 + h * cache.slots + slot] = scale;
    }
  };
}
