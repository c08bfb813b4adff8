// Which of the two relaxed 4-bit kernels is faster depends on the processor behind the engine (x86 without VNNI, with
// it, ARM) and cannot be asked, so both run for about a millisecond. They give the same bits; only time differs.
import type { Heap } from './heap.ts';
import type { Kernels } from './kernels.ts';
import type { Plan } from './plan.ts';

const PANELS = 16;
const BLOCKS = 24;
const ROUNDS = 12;

export function fastestInt4(kernels: Kernels, heap: Heap): Plan['int4'] {
  const { int4Pairs, int4Dot } = kernels;
  if (!int4Pairs || !int4Dot) return 'int4Plain';
  // Zero weights and inputs take as long as any others: the kernels do not branch on data.
  const bytes = PANELS * BLOCKS * 144 + BLOCKS * 40 + PANELS * 32;
  const w = heap.allocate(bytes);
  const act = w + PANELS * BLOCKS * 144;
  const meta = act + BLOCKS * 32;
  const out = meta + BLOCKS * 8;
  const times = { int4Pairs: Infinity, int4Dot: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, kernel] of Object.entries({ int4Pairs, int4Dot }) as [
      keyof typeof times,
      typeof int4Dot,
    ][]) {
      const start = performance.now();
      for (let i = 0; i < 4; i++) kernel(w, PANELS, BLOCKS, act, 0, meta, 0, out, 0, 0, 0, 1, 0);
      times[name] = Math.min(times[name], performance.now() - start);
    }
  }
  heap.release(w, bytes);
  return times.int4Dot < times.int4Pairs ? 'int4Dot' : 'int4Pairs';
}
