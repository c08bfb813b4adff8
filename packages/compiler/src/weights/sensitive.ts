// Finds the tensors that a number type hurts more than allowed, before anything is written: the layout must be known first.
// A trial conversion of every matrix as the layout would store it, wider again where that is still too coarse.
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { WeightType } from '../options.ts';
import { convert } from './convert.ts';
import type { Layout } from './layout.ts';
import { ReadAhead, slabsOf } from './read-ahead.ts';

const WIDER: Readonly<Partial<Record<WeightType, WeightType>>> = { int4: 'int8', int8: 'f16' };

/** Names of tensors whose relative error exceeds `limit`, with the first wider type that keeps it, f16 at the end. */
export async function findSensitive(
  checkpoint: Checkpoint,
  layout: Layout,
  limit: number,
  onBytes: (item: string, bytes: number) => void,
): Promise<Record<string, WeightType>> {
  const reader = new ReadAhead(checkpoint, layout.placed);
  const wider: Record<string, WeightType> = {};
  for (const placed of layout.placed) {
    const { source, tensor, quantisationGroup } = placed;
    const trials = trialTypes(tensor.dtype).map((dtype) => ({ dtype, error: 0, sum: 0 }));
    for (const _ of slabsOf(placed)) {
      const slab = await reader.next();
      const { bytes, dtype: from } = slab;
      for (const trial of trials) {
        const form = { dtype: trial.dtype, group: quantisationGroup, zeroPoint: tensor.zeroPoint ?? 0 };
        const { squaredError, squaredSum } = convert(bytes, from, source.add, form);
        trial.error += squaredError;
        trial.sum += squaredSum;
      }
      onBytes(source.name, bytes.length);
      reader.done(slab);
    }
    const fits = trials.findIndex(({ error, sum }) => !(Math.sqrt(error / sum) > limit));
    if (fits === 0 || trials.length === 0) continue;
    wider[source.name] = fits > 0 ? trials[fits]!.dtype : 'f16';
  }
  return wider;
}

/** The integer types to try, narrowest first. Floats are left alone. */
function trialTypes(dtype: WeightType): WeightType[] {
  const next = WIDER[dtype];
  return next === undefined ? [] : [dtype, ...trialTypes(next)];
}
