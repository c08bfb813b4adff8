// What the driver asks of the page, and what it gets back.
import type { KernelSet } from '../../src/targets/wasm-simd/kernels.ts';
import type { Speeds } from '../measure.ts';
import type { WeightKind } from '../random-network.ts';
import type { SHAPES } from '../shapes.ts';

export interface PageJob {
  shape: keyof typeof SHAPES;
  weights: WeightKind;
  contexts: number[];
  rounds: number;
  threads?: number;
  kernels?: KernelSet;
}

export interface PageFigures extends Speeds {
  description: string;
  threads: number;
  isolated: boolean;
  /** From weights in memory to ready: packing and starting the threads. */
  loadMs: number;
  weightBytes: number;
}

/** What run.ts prints. */
export interface BrowserBench {
  schema: 'baton.bench.browser/1';
  browser: string;
  figures: (PageJob & { figures: PageFigures })[];
}
