// Finds, in a manifest, the graphs that one capacity needs, and checks that they make a whole network. Opens nothing.

import type { Manifest, ManifestGraph, ManifestPort } from '@baton/compiler/manifest';
import { RuntimeError } from '../../errors.ts';

/** The layer graphs of one length and capacity, in running order. */
export function layerGraphs(
  manifest: Manifest,
  role: 'prefill' | 'decode',
  capacity: number,
): ManifestGraph[] {
  const graphs = manifest.graphs
    .filter((g) => g.role === role && g.capacity === capacity)
    .sort((a, b) => a.firstLayer! - b.firstLayer!);
  let next = 0;
  for (const graph of graphs) {
    if (graph.firstLayer !== next) throw gap(role, capacity, next);
    next = graph.lastLayer! + 1;
  }
  if (next !== manifest.architecture.layers.length) throw gap(role, capacity, next);
  return graphs;
}

function gap(role: string, capacity: number, layer: number): RuntimeError {
  return new RuntimeError(
    'bad-model',
    `baton.json: no ${role} graph for layer ${layer} at capacity ${capacity}; compile the model again`,
  );
}

/** The head or columns graph of exactly `length` rows, if the model has one. */
export function headGraph(
  manifest: Manifest,
  role: 'head' | 'columns',
  length: number,
): ManifestGraph | undefined {
  return manifest.graphs.find((g) => g.role === role && g.length === length);
}

export function port(graph: ManifestGraph, direction: 'inputs' | 'outputs', name: string): ManifestPort {
  const found = graph[direction].find((p) => p.name === name);
  if (!found)
    throw new RuntimeError(
      'bad-model',
      `${graph.file} has no ${direction.slice(0, -1)} "${name}"; compile the model again`,
    );
  return found;
}

export function hasPort(graph: ManifestGraph, direction: 'inputs' | 'outputs', name: string): boolean {
  return graph[direction].some((p) => p.name === name);
}
