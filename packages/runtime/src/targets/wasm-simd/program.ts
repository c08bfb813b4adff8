// The forward pass as every thread runs it: the same code on each, work shared out by claims, a meeting after every
// phase whose results the others need. One token (decode) prepares its row on every thread rather than meeting once
// more; several tokens (prefill) share the preparation.
import type { Control } from './control.ts';
import type { Kernels } from './kernels.ts';
import { headFinisher } from './heads.ts';
import type { CacheLayout, LayerPlan, Matrix, Plan, RowBuffer } from './plan.ts';
import { keyLimit, matricesOf, scoreSlots } from './plan.ts';
import { matrixBytes, Products } from './products.ts';

/** One command of the host. */
export interface Pass {
  /** Rows of x to run through the layers; 0 = none, only logits. */
  tokens: number;
  position: number;
  cache: CacheLayout;
  /** Rows of x whose logits are wanted, at most plan.logitRows of them. */
  logitsFrom: number;
  logitsCount: number;
  /** 1: also summarise each row. */
  summarise: number;
  /** How many take part; the others sleep on. */
  threads: number;
  /** 1: read every weight once and compute nothing, which is the least a decode step can take. */
  read: number;
}

// Work per claim is whole times so many panels, 64 rows.
const PANELS = 8;
/**
 * Bytes of weights per claim. Beginning a piece costs 0.7 microseconds, and one that follows another begins no new stream of memory: a step of
 * 494 M int4 weights took 13.4 ms by pieces of 32 KB and 10.5 by pieces of 128 and 256; of 100 M f32 weights 10.3 by pieces of 200 KB and 11.9 by 1.5 MB.
 */
const PIECE_BYTES = 128 * 2 ** 10;
/** A thread's part is so many pieces at least where it has as many panels: others take over what a slow or interrupted one leaves. */
const LEAST_PIECES = 3;
/** Phases of a pass at most, each of which counts claims: twelve in a layer, three for the logits. */
export const mostPhases = (layers: number): number => 12 * layers + 3;

const QUERIES = 3; // attention.ts takes up to three query heads at once

/** Rows of x: `count` of them from `from` on. */
interface Rows {
  from: number;
  count: number;
}

export class Program {
  readonly #kernels: Kernels;
  readonly #memory: WebAssembly.Memory;
  readonly #plan: Plan;
  readonly #control: Control;
  readonly #products: Products;
  readonly #own: Plan['buffers']['own'][number];
  readonly #thread: number;
  #phase = 0;

  constructor(kernels: Kernels, memory: WebAssembly.Memory, plan: Plan, control: Control, thread: number) {
    this.#kernels = kernels;
    this.#memory = memory;
    this.#plan = plan;
    this.#control = control;
    this.#own = plan.buffers.own[thread]!;
    this.#thread = thread;
    this.#products = new Products(kernels, plan, this.#own.panel);
  }

  run(pass: Pass): void {
    this.#phase = 0;
    if (pass.read) this.#read();
    if (pass.tokens > 0) {
      for (const [index, layer] of this.#plan.layers.entries()) this.#layer(layer, index, pass);
    }
    if (pass.logitsCount > 0) this.#logits(pass);
    // More would count in each other's words.
    if (this.#phase > mostPhases(this.#plan.layers.length))
      throw new Error(`${this.#phase} phases in a pass`);
  }

  #layer(layer: LayerPlan, index: number, pass: Pass): void {
    const plan = this.#plan;
    const { buffers: b } = plan;
    const qkvStride = layer.qkv.panels * 32;
    const all = { from: 0, count: pass.tokens };
    const needed = this.#needed(index, pass);

    this.#normalised(layer.inputNorm, layer.qkv, all);
    this.#heads(layer, index, pass, needed, qkvStride);
    if (needed.count === 0) return;
    this.#meet();
    this.#attention(layer, index, pass, needed, qkvStride);
    this.#meet();
    this.#branch(layer.output, b.attended, layer.output.inputs * 4, layer.postAttentionNorm, needed);
    this.#normalised(layer.feedForwardNorm, layer.gateUp, needed);
    const tokens = needed.count;
    const rows = tokens === 1 ? this.#own.row : b.rows;
    this.#share(layer.gateUp, this.#piece(layer.gateUp), (first, count) => {
      const stride = layer.gateUp.panels * 32;
      this.#products.run(
        layer.gateUp,
        first,
        count,
        rows,
        rows.plain,
        rows.plainStride,
        b.gateUp,
        stride,
        0,
        tokens,
      );
      for (let t = 0; t < tokens; t++) {
        const inner = b.inner + t * layer.down.inputs * 4 + first * 16;
        this.#kernels.gated(b.gateUp + t * stride + first * 32, count / 2, plan.activation, inner);
      }
    });
    this.#meet();
    this.#branch(layer.down, b.inner, layer.down.inputs * 4, layer.postFeedForwardNorm, needed);
  }

  /**
   * Rows that a layer's result is wanted for. Of the last layer those with logits only: all others leave their keys and values there, and
   * nobody reads on from them.
   */
  #needed(index: number, { tokens, logitsFrom, logitsCount }: Pass): Rows {
    if (index < this.#plan.layers.length - 1) return { from: 0, count: tokens };
    const from = logitsCount > 0 ? logitsFrom : tokens;
    return { from, count: tokens - from };
  }

  /** Normalised rows of x, quantised for `matrix`: on every thread for itself for one token, shared for several. */
  #normalised(norm: number, matrix: Matrix, { from, count }: Rows): void {
    const { buffers: b, hiddenPadded, hidden, epsilon } = this.#plan;
    const one = (rows: RowBuffer, t: number): void => {
      const to = rows.plain + t * rows.plainStride;
      const x = b.x + (from + t) * hiddenPadded * 4;
      if (norm) this.#kernels.rmsNorm(x, norm, hiddenPadded, hidden, epsilon, to);
      else new Uint8Array(this.#memory.buffer).copyWithin(to, x, x + hiddenPadded * 4);
      this.#products.prepare(matrix, to, rows, t);
    };
    this.#eachRow(count, one);
  }

  #eachRow(tokens: number, one: (rows: RowBuffer, t: number) => void): void {
    if (tokens === 1) {
      one(this.#own.row, 0);
      return;
    }
    const phase = this.#phase++;
    for (let t = this.#control.claim(phase); t < tokens; t = this.#control.claim(phase)) {
      one(this.#plan.buffers.rows, t);
    }
    this.#meet();
  }

  /** Query rows where they are needed, key and value rows, a head at a time, and what follows for that head at once (heads.ts). */
  #heads(layer: LayerPlan, index: number, pass: Pass, needed: Rows, stride: number): void {
    const { buffers: b, heads, keyValueHeads, headWidth: width, headNumbers, epsilon } = this.#plan;
    const { tokens } = pass;
    const all = tokens === 1 ? this.#own.row : b.rows;
    const finish = headFinisher(this.#kernels, this.#memory, this.#plan, layer, index, pass);
    this.#share(layer.qkv, width / 8, (first, count) => {
      const head = (first * 8) / width;
      // A norm over all heads takes rows of all of them.
      const from = head < heads && !layer.wholeNorm ? needed.from : 0;
      if (from === tokens) return;
      const rows = rowsFrom(all, from);
      const to = b.qkv + from * stride;
      const { plain, plainStride } = rows;
      this.#products.run(layer.qkv, first, count, rows, plain, plainStride, to, stride, 0, tokens - from);
      if (!layer.wholeNorm) for (let t = from; t < tokens; t++) finish(t, head, b.qkv + t * stride);
    });
    if (!layer.wholeNorm) return;
    // Norms over all heads need all of them.
    this.#meet();
    const phase = this.#phase++;
    for (let t = this.#control.claim(phase); t < tokens; t = this.#control.claim(phase)) {
      const query = b.qkv + t * stride;
      const key = query + heads * width * 4;
      const [queries, keys] = [heads * width, keyValueHeads * width];
      this.#kernels.rmsNorm(query, layer.queryNorm, queries, heads * headNumbers, epsilon, query);
      this.#kernels.rmsNorm(key, layer.keyNorm, keys, keyValueHeads * headNumbers, epsilon, key);
      for (let head = 0; head < heads + 2 * keyValueHeads; head++) finish(t, head, query);
    }
  }

  #attention(layer: LayerPlan, index: number, pass: Pass, { from, count }: Rows, qkvStride: number): void {
    const plan = this.#plan;
    const { cache } = pass;
    const width = plan.headWidth;
    const group = plan.heads / plan.keyValueHeads;
    const parts = Math.ceil(group / QUERIES);
    const perToken = plan.keyValueHeads * parts;
    const base = cache.base + index * cache.layerBytes;
    const outStride = layer.output.inputs * 4;
    const phase = this.#phase++;
    for (let unit = this.#control.claim(phase); unit < count * perToken; unit = this.#control.claim(phase)) {
      const t = Math.floor(unit / perToken);
      const h = Math.floor((unit % perToken) / parts);
      const query = (unit % parts) * QUERIES;
      const queries = Math.min(QUERIES, group - query);
      const head = (h * group + query) * width * 4;
      const end = pass.position + from + t + 1;
      const begin = layer.window > 0 ? Math.max(0, end - layer.window) : 0;
      this.#kernels.attend(
        plan.buffers.qkv + (from + t) * qkvStride + head,
        queries,
        width * 4,
        width,
        base + h * cache.keyHeadBytes,
        base + cache.keyScales + h * cache.slots * 4,
        base + cache.values + h * cache.valueHeadBytes,
        base + cache.valueScales + h * cache.slots * 4,
        begin,
        end,
        plan.attentionScale,
        plan.attentionCap,
        keyLimit(width),
        this.#own.scratch,
        scoreSlots(cache.capacity),
        plan.buffers.attended + t * outStride + head,
      );
    }
  }

  /** x += matrix . source, through a norm where the family has one behind the block; ends with a meeting. */
  #branch(matrix: Matrix, source: number, stride: number, norm: number, { from, count: tokens }: Rows): void {
    const { buffers: b, hidden, hiddenPadded, epsilon } = this.#plan;
    const x = { at: b.x + from * hiddenPadded * 4, stride: hiddenPadded * 4 };
    this.#eachRow(tokens, (rows, t) => this.#products.prepare(matrix, source + t * stride, rows, t));
    const rows = tokens === 1 ? this.#own.row : b.rows;
    const out = norm ? b.branch : x.at;
    this.#share(matrix, this.#piece(matrix), (first, count) => {
      this.#products.run(matrix, first, count, rows, source, stride, out, x.stride, norm ? 0 : 1, tokens);
    });
    this.#meet();
    if (!norm) return;
    const phase = this.#phase++;
    for (let t = this.#control.claim(phase); t < tokens; t = this.#control.claim(phase)) {
      this.#kernels.addRmsNorm(
        x.at + t * x.stride,
        b.branch + t * x.stride,
        norm,
        hiddenPadded,
        hidden,
        epsilon,
      );
    }
    this.#meet();
  }

  #logits(pass: Pass): void {
    const plan = this.#plan;
    const { buffers: b, head } = plan;
    const { logitsFrom: from, logitsCount: count } = pass;
    const rows = count === 1 ? this.#own.row : b.rows;
    const stride = head.panels * 32;
    this.#eachRow(count, (to, t) => {
      const at = to.plain + t * to.plainStride;
      this.#kernels.rmsNorm(
        b.x + (from + t) * plan.hiddenPadded * 4,
        plan.finalNorm,
        plan.hiddenPadded,
        plan.hidden,
        plan.epsilon,
        at,
      );
      this.#products.prepare(head, at, to, t);
    });
    this.#share(head, this.#piece(head), (first, panels) => {
      this.#products.run(head, first, panels, rows, rows.plain, rows.plainStride, b.logits, stride, 0, count);
      if (plan.logitCap > 0) {
        for (let t = 0; t < count; t++)
          this.#kernels.softCap(b.logits + t * stride + first * 32, panels * 8, plan.logitCap);
      }
    });
    if (!pass.summarise) return;
    this.#meet();
    const phase = this.#phase++;
    for (let t = this.#control.claim(phase); t < count; t = this.#control.claim(phase)) {
      this.#kernels.summarize(b.logits + t * stride, plan.vocabulary, b.summaries + t * 16);
    }
  }

  #read(): void {
    for (const matrix of matricesOf(this.#plan)) {
      const panelBytes = matrixBytes(matrix.kind, 1, matrix.inputs);
      this.#share(matrix, this.#piece(matrix), (first, count) => {
        const bytes = Math.floor((count * panelBytes) / 64) * 64;
        this.#kernels.readAll(matrix.address + first * panelBytes, bytes, this.#own.scratch);
      });
    }
  }

  /**
   * Calls `work(first panel, panels)` for every piece of the matrix that this thread gets hold of: of its own part first, from one end to
   * the other, so that it reads one long stream of memory, then of parts that other threads have not finished.
   */
  #share({ panels }: Matrix, piece: number, work: (first: number, count: number) => void): void {
    const phase = this.#phase++;
    const { threads } = this.#control;
    const pieces = Math.ceil(panels / piece);
    for (let n = 0; n < threads; n++) {
      const part = (this.#thread + n) % threads;
      const begin = Math.floor((part * pieces) / threads);
      const end = Math.floor(((part + 1) * pieces) / threads);
      const next = (): number => begin + this.#control.claim(phase, part);
      for (let i = next(); i < end; i = next()) work(i * piece, Math.min(piece, panels - i * piece));
    }
  }

  /** Panels of a piece of work. */
  #piece({ panels, kind, inputs }: Matrix): number {
    const enough = Math.round(PIECE_BYTES / matrixBytes(kind, PANELS, inputs));
    const fair = Math.ceil(panels / (this.#control.threads * LEAST_PIECES * PANELS));
    return PANELS * Math.max(1, Math.min(enough, fair));
  }

  #meet(): void {
    this.#control.meet();
  }
}

/** The rows behind the first `from`. */
function rowsFrom(rows: RowBuffer, from: number): RowBuffer {
  if (from === 0) return rows;
  return {
    ...rows,
    plain: rows.plain + from * rows.plainStride,
    quantised: rows.quantised + from * rows.quantisedStride,
    meta: rows.meta + from * rows.metaStride,
  };
}
