// A network in the compiler's own words, free of any family: what the graph builder and the weight writer work from.
import type { ManifestArchitecture, ManifestRope } from '../manifest.ts';

/** Where one of our tensors lies in the checkpoint. */
export interface WeightSource {
  /** Our name, e.g. layers.3.query. */
  name: string;
  /** The checkpoint's name. */
  tensor: string;
  /** Ours: [outputs, inputs] or [n]. */
  dims: readonly number[];
  /** Shape of the checkpoint's tensor, which holds more rows where projections are fused. */
  storedShape: readonly number[];
  firstRow: number;
  /** Added to every element. */
  add: number;
}

export interface Description {
  family: string;
  architecture: ManifestArchitecture;
  rope: ManifestRope[];
  /** Up to how many tokens positions are rotated as if there were no scaling; null where the length changes nothing. */
  unscaledLength: number | null;
  masks: { window: number | null }[];
  embeddingScale: number;
  /** In the order in which they are stored: layers, final norm, head; then the embedding, unless it is tied. */
  weights: WeightSource[];
}
