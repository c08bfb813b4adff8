// Hidden states, keys and values where they cross a graph's boundary: f32, or f16 with a Cast on the inner side. Half of the
// traffic between graphs, and half of the cache, for the price of 11 bits.
import type { Boundary } from '../options.ts';
import type { OnnxBuilder } from './onnx-builder.ts';

export interface BoundaryContext {
  builder: OnnxBuilder;
  boundary: Boundary;
}

const FLOAT = 1n;
const FLOAT16 = 10n;

/** Declares an input; returns the name of its f32 value. */
export function fromBoundary(
  { builder: b, boundary }: BoundaryContext,
  name: string,
  dims: readonly number[],
): string {
  b.input(name, boundary, dims);
  return boundary === 'f32' ? name : b.node('Cast', `${name}/f32`, [name], { to: FLOAT });
}

/** Gives the f32 `value` out as `name`; `free`: the axis that may be shorter. */
export function toBoundary(
  { builder: b, boundary }: BoundaryContext,
  value: string,
  name: string,
  dims: readonly number[],
  free?: number,
): void {
  if (boundary === 'f32') b.node('Identity', `${name}/out`, [value], {}, { outputs: [name] });
  else b.node('Cast', `${name}/out`, [value], { to: FLOAT16 }, { outputs: [name] });
  b.output(name, boundary, dims, free);
}
