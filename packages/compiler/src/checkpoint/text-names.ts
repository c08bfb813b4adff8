// Checks that a checkpoint's tensors are those of the described network: none missing, none of another shape, none left
// over that the description does not know. Finds the text model inside multimodal checkpoints by its tensors' prefix.
import { CompileError } from '../errors.ts';
import type { Description } from '../families/description.ts';
import type { Checkpoint } from './checkpoint.ts';

const EMBEDDING = 'embed_tokens.weight';
const HEADS = ['lm_head.weight', 'language_model.lm_head.weight', 'model.lm_head.weight'];

/** Derived values that older exports stored. */
const DERIVED = /\.rotary_emb\.inv_freq$|\.masked_bias$/;

export interface TextNames {
  /** Of the text model's tensors, e.g. "model.". */
  prefix: string;
  /** Name of the head's matrix when it is not tied. */
  head: string;
  /** A head is stored that differs from the embedding table, so that the two are not tied whatever config.json says. */
  ownHead: boolean;
  /** Layers of which there are tensors. */
  layers: number;
}

/** Names of what may be the text model's embedding table; exactly one in a checkpoint that can be compiled. */
export function tableNames({ tensors }: Checkpoint): string[] {
  return [...tensors.keys()].filter((n) => n === EMBEDDING || n.endsWith(`.${EMBEDDING}`));
}

/** Under which name the head is stored, or would be. */
export function headName({ tensors }: Checkpoint): string {
  return HEADS.find((h) => tensors.has(h)) ?? HEADS[0]!;
}

/** Finds the text model among the tensors. */
export function textNames(checkpoint: Checkpoint): TextNames {
  const tables = tableNames(checkpoint);
  if (tables.length !== 1) {
    const what = tables.length === 0 ? 'no' : `${tables.length} tensors named`;
    throw new CompileError(
      'missing',
      `${checkpoint.source.name}: ${what} ${EMBEDDING}; not a decoder-only text model`,
    );
  }
  const prefix = tables[0]!.slice(0, -EMBEDDING.length);
  return {
    prefix,
    head: headName(checkpoint),
    ownHead: checkpoint.ownHead,
    layers: countLayers(checkpoint, `${prefix}layers.`),
  };
}

function countLayers({ tensors }: Checkpoint, start: string): number {
  const inLayers = [...tensors.keys()].filter((name) => name.startsWith(start));
  return new Set(inLayers.map((name) => name.slice(start.length).split('.', 1)[0])).size;
}

/**
 * Throws `missing`, `bad-checkpoint` (shapes) or `unsupported` (tensors left over). Counts what will be read. Only a
 * multimodal checkpoint may hold tensors outside the text model.
 */
export function checkWeights(
  checkpoint: Checkpoint,
  description: Description,
  multimodal: boolean,
): { bytes: number; parameters: number } {
  const seen = new Map<string, number>();
  let bytes = 0;
  for (const weight of description.weights) {
    const stored = checkpoint.tensor(weight.tensor);
    if (stored.shape.join() !== weight.storedShape.join()) {
      throw new CompileError(
        'bad-checkpoint',
        `${stored.file}: tensor ${weight.tensor} is [${stored.shape.join(', ')}], config.json asks for ` +
          `[${weight.storedShape.join(', ')}]; the two do not belong together`,
      );
    }
    const tied = weight.name === 'embedding' && description.architecture.tiedEmbeddings;
    const rows = weight.dims[0]! / stored.shape[0]!;
    if (!tied) bytes += stored.bytes * rows;
    seen.set(
      weight.tensor,
      stored.shape.reduce((n, d) => n * d, 1),
    );
  }
  const { prefix } = textNames(checkpoint);
  const extra = [...checkpoint.tensors.keys()].filter(
    (name) =>
      (name.startsWith(prefix) || !multimodal) &&
      !HEADS.includes(name) &&
      !seen.has(name) &&
      !DERIVED.test(name),
  );
  if (extra.length > 0) {
    throw new CompileError(
      'unsupported',
      `${checkpoint.source.name}: ${extra.length} tensors are no part of a ${description.family} network ` +
        `(${extra.slice(0, 3).join(', ')} ...); leaving them out would give a wrong model`,
    );
  }
  return { bytes, parameters: [...seen.values()].reduce((n, p) => n + p, 0) };
}
