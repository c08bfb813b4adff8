// The few compound operations that decoder layers are made of, in primitive operators only.
import type { ManifestArchitecture } from '../manifest.ts';
import { vectorWeight, type LinearContext } from './linear.ts';

export function reshape(
  { builder: b }: Pick<LinearContext, 'builder'>,
  x: string,
  name: string,
  dims: readonly number[],
): string {
  return b.node('Reshape', name, [x, b.int64s(`shape_${dims.join('x')}`, dims)]);
}

/**
 * x / sqrt(mean(x^2) + eps) * weight over the last axis. Written as Pow, ReduceMean, Add, Sqrt, Div, Mul: the form that
 * OpenVINO's NPU settings keep in higher precision and that ONNX Runtime fuses into one kernel.
 */
export function rmsNorm(
  context: LinearContext,
  x: string,
  weight: string,
  name: string,
  eps: number,
): string {
  const b = context.builder;
  const square = b.node('Pow', `${name}/square`, [x, b.scalar('two', 2)]);
  const mean = b.node('ReduceMean', `${name}/mean`, [square, b.int64s('last_axis', [-1])], { keepdims: 1n });
  const safe = b.node('Add', `${name}/eps`, [mean, b.scalar('rms_eps', eps)]);
  const root = b.node('Sqrt', `${name}/root`, [safe]);
  const unit = b.node('Div', `${name}/unit`, [x, root]);
  return b.node('Mul', name, [unit, vectorWeight(context, weight)]);
}

export function activate(
  { builder: b }: LinearContext,
  x: string,
  name: string,
  kind: ManifestArchitecture['activation'],
): string {
  if (kind === 'silu') return b.node('Mul', name, [x, b.node('Sigmoid', `${name}/sigmoid`, [x])]);
  if (kind === 'gelu') {
    // x * (1 + erf(x / sqrt 2)) / 2
    const scaled = b.node('Mul', `${name}/scaled`, [x, b.scalar('sqrt_half', Math.SQRT1_2)]);
    const erf = b.node('Erf', `${name}/erf`, [scaled]);
    return halfGate({ builder: b }, x, erf, name);
  }
  // x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2, with x + 0.044715 x^3 = x * (1 + 0.044715 x^2)
  const square = b.node('Mul', `${name}/square`, [x, x]);
  const cubic = b.node('Mul', `${name}/cubic`, [square, b.scalar('gelu_cubic', 0.044715)]);
  const factor = b.node('Add', `${name}/factor`, [cubic, b.scalar('one', 1)]);
  const inner = b.node('Mul', `${name}/inner`, [x, factor]);
  const scaled = b.node('Mul', `${name}/scaled`, [
    inner,
    b.scalar('sqrt_two_over_pi', Math.sqrt(2 / Math.PI)),
  ]);
  return halfGate({ builder: b }, x, b.node('Tanh', `${name}/tanh`, [scaled]), name);
}

function halfGate(
  { builder: b }: Pick<LinearContext, 'builder'>,
  x: string,
  curve: string,
  name: string,
): string {
  const shifted = b.node('Add', `${name}/shifted`, [curve, b.scalar('one', 1)]);
  const half = b.node('Mul', `${name}/half`, [x, b.scalar('half', 0.5)]);
  return b.node('Mul', name, [half, shifted]);
}

/** cap * tanh(x / cap). */
export function softCap(
  { builder: b }: Pick<LinearContext, 'builder'>,
  x: string,
  name: string,
  cap: number,
): string {
  const small = b.node('Mul', `${name}/small`, [x, b.scalar(`inverse_${cap}`, 1 / cap)]);
  return b.node('Mul', name, [b.node('Tanh', `${name}/tanh`, [small]), b.scalar(`cap_${cap}`, cap)]);
}
