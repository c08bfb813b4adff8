// Network + weights -> plan: gives every matrix its place in the heap and packs it, or says what is to be read and packed
// there; lays out the working memory.
import type { Heap } from './heap.ts';
import type { LoadableWeights, Network } from './network.ts';
import type { SourceMatrix } from './pack.ts';
import { packMatrix } from './pack.ts';
import type { Piece, StoredMatrix } from './pieces.ts';
import { piecesOf } from './pieces.ts';
import type { Buffers, LayerPlan, Matrix, Plan, RowBuffer } from './plan.ts';
import { scoreSlots } from './plan.ts';
import { matrixBytes, unpackedBytes } from './products.ts';
import { alike, padHeadInputs, padHeadNumbers, padHeadRows } from './reshape.ts';

export interface LoadOptions {
  threads: number;
  maxRows: number;
  logitRows: number;
  /** Slots of the largest cache. */
  capacity: number;
  int4: Plan['int4'];
  activationBits: 8 | 16;
}

const up = (n: number, to: number): number => Math.ceil(n / to) * to;

/** The plan, and what must be packed before it is run: matrices that still lie in files. */
export async function loadPlan(
  heap: Heap,
  network: Network,
  weights: LoadableWeights,
  options: LoadOptions,
): Promise<{ plan: Plan; pieces: Piece[] }> {
  const pieces: Piece[] = [];
  const hiddenPadded = up(network.hidden, 32);
  const width = network.headWidth;
  const headWidth = up(width, 16);
  const layers: LayerPlan[] = [];
  for (const [index, { window, rotary }] of network.layers.entries()) {
    const w = await weights.layer(index);
    const norm = (values: Float32Array | undefined): number =>
      values ? heap.store(values, hiddenPadded) : 0;
    layers.push({
      inputNorm: norm(w.inputNorm),
      postAttentionNorm: norm(w.postAttentionNorm),
      feedForwardNorm: norm(w.feedForwardNorm),
      postFeedForwardNorm: norm(w.postFeedForwardNorm),
      queryNorm: w.queryNorm ? heap.store(padHeadNumbers(w.queryNorm, width, headWidth)) : 0,
      keyNorm: w.keyNorm ? heap.store(padHeadNumbers(w.keyNorm, width, headWidth)) : 0,
      wholeNorm: (w.queryNorm?.length ?? width) > width,
      qkv: stacked(
        heap,
        await asStored([w.query, w.key, w.value], width === headWidth, (parts) =>
          alike(parts).map((m) => padHeadRows(m, width, headWidth)),
        ),
        [w.queryBias, w.keyBias, w.valueBias].map((b) => b && padHeadNumbers(b, width, headWidth)),
        pieces,
      ),
      output: stacked(
        heap,
        await asStored([w.output], width === headWidth, ([m]) => [padHeadInputs(m!, width, headWidth)]),
        [w.outputBias],
        pieces,
      ),
      gateUp: alternating(heap, await asStored([w.gate, w.up], true, alike), [w.gateBias, w.upBias], pieces),
      down: stacked(heap, [w.down], [w.downBias], pieces),
      window: window ?? 0,
      rotary,
    });
  }
  const finalNorm = heap.store(await weights.finalNorm(), hiddenPadded);
  const last = await weights.head();
  const head = stacked(heap, [last.matrix], [last.bias], pieces);
  const plan: Omit<Plan, 'buffers'> = {
    hidden: network.hidden,
    hiddenPadded,
    heads: network.heads,
    keyValueHeads: network.keyValueHeads,
    headWidth,
    headNumbers: width,
    feedForward: network.feedForward,
    vocabulary: network.vocabulary,
    epsilon: network.epsilon,
    activation: ['silu', 'gelu-tanh', 'gelu'].indexOf(network.activation),
    attentionScale: network.attentionScale,
    attentionCap: network.attentionCap ?? 0,
    logitCap: network.logitCap ?? 0,
    layers,
    finalNorm,
    head,
    rotary: network.rotary.map(({ half, cos, sin, shorter }) => ({
      half,
      cos: heap.store(cos),
      sin: heap.store(sin),
      ...(shorter
        ? { shorter: shorter.map((s) => ({ ...s, cos: heap.store(s.cos), sin: heap.store(s.sin) })) }
        : {}),
    })),
    maxRows: options.maxRows,
    logitRows: options.logitRows,
    int4: options.int4,
    activationBits: options.activationBits,
  };
  return { plan: { ...plan, buffers: layOut(heap, plan, options) }, pieces };
}

type AnyMatrix = SourceMatrix | StoredMatrix;

/** Parts as they are where they are `plain` and of one kind; else read whole and given the shape that is wanted. */
async function asStored(
  parts: AnyMatrix[],
  plain: boolean,
  shape: (parts: SourceMatrix[]) => SourceMatrix[],
): Promise<AnyMatrix[]> {
  if (plain && parts.every((part) => part.kind === parts[0]!.kind)) return parts;
  return shape(await Promise.all(parts.map(async (part) => ('read' in part ? part.read() : part))));
}

/** Matrices one under the other, each padded to whole panels. */
function stacked(
  heap: Heap,
  parts: AnyMatrix[],
  biases: (Float32Array | undefined)[],
  pieces: Piece[],
): Matrix {
  const { kind, inputs: width } = parts[0]!;
  const inputs = up(width, 32);
  const panelsOf = parts.map((part) => Math.ceil(part.rows / 8));
  const panels = panelsOf.reduce((sum, n) => sum + n, 0);
  const address = heap.allocate(matrixBytes(kind, panels, inputs));
  let first = 0;
  for (const [i, part] of parts.entries()) {
    pack(heap, part, inputs, address + matrixBytes(kind, first, inputs), 1, pieces);
    first += panelsOf[i]!;
  }
  let bias = 0;
  if (biases.some(Boolean)) {
    const values = new Float32Array(panels * 8);
    let at = 0;
    for (const [part, n] of panelsOf.entries()) {
      if (biases[part]) values.set(biases[part], at);
      at += n * 8;
    }
    bias = heap.store(values);
  }
  return { kind, address, panels, inputs, bias };
}

/** Panels of two matrices in turn (gate and up). */
function alternating(
  heap: Heap,
  parts: AnyMatrix[],
  biases: (Float32Array | undefined)[],
  pieces: Piece[],
): Matrix {
  const { kind, rows, inputs: width } = parts[0]!;
  const inputs = up(width, 32);
  const panels = 2 * Math.ceil(rows / 8);
  const address = heap.allocate(matrixBytes(kind, panels, inputs));
  for (const [i, part] of parts.entries())
    pack(heap, part, inputs, address + matrixBytes(kind, i, inputs), 2, pieces);
  let bias = 0;
  if (biases.some(Boolean)) {
    const values = new Float32Array(panels * 8);
    for (const [part, numbers] of biases.entries()) {
      numbers?.forEach((value, row) => (values[(2 * (row >> 3) + part) * 8 + (row & 7)] = value));
    }
    bias = heap.store(values);
  }
  return { kind, address, panels, inputs, bias };
}

/** Packs a matrix that is in memory to every `step`th panel from `to` on, or notes the pieces of one that is not. */
function pack(
  heap: Heap,
  matrix: AnyMatrix,
  inputs: number,
  to: number,
  step: number,
  pieces: Piece[],
): void {
  if ('read' in matrix) {
    pieces.push(...piecesOf(matrix, inputs, to, step));
    return;
  }
  const panels = (Math.ceil(matrix.rows / 8) - 1) * step + 1;
  packMatrix(matrix, inputs, heap.bytesAt(to, matrixBytes(matrix.kind, panels, inputs)), step);
}

function layOut(heap: Heap, plan: Omit<Plan, 'buffers'>, options: LoadOptions): Buffers {
  const { maxRows, logitRows, threads, capacity } = options;
  const first = plan.layers[0]!;
  const widest = Math.max(plan.hiddenPadded, first.output.inputs, first.down.inputs);
  const rows = (count: number): RowBuffer => {
    const [plainStride, quantisedStride, metaStride] = [widest * 4, widest * 2, (widest / 32) * 8];
    return {
      plain: heap.allocate(count * plainStride),
      plainStride,
      quantised: heap.allocate(count * quantisedStride),
      quantisedStride,
      meta: heap.allocate(count * metaStride),
      metaStride,
    };
  };
  const floats = (count: number): number => heap.allocate(count * 4);
  return {
    x: floats(maxRows * plan.hiddenPadded),
    branch: floats(maxRows * plan.hiddenPadded),
    qkv: floats(maxRows * first.qkv.panels * 8),
    attended: floats(maxRows * first.output.inputs),
    gateUp: floats(maxRows * first.gateUp.panels * 8),
    inner: floats(maxRows * first.down.inputs),
    logits: floats(logitRows * plan.head.panels * 8),
    summaries: heap.allocate(logitRows * 16),
    rows: rows(Math.max(maxRows, logitRows)),
    own: Array.from({ length: threads }, () => ({
      row: rows(1),
      scratch: heap.allocate(3 * (2 * plan.headWidth + 4 * scoreSlots(capacity))),
      panel: heap.allocate(unpackedBytes(widest)),
    })),
  };
}
