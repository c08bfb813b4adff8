// Checks that a checkpoint's tensors are those of the described network: none missing, none of another shape, none left
// over that the description does not know. Finds the text model inside multimodal checkpoints by its tensors' prefix.
import { CompileError } from '../errors.ts';
import type { Description } from '../families/description.ts';
import type { Checkpoint } from './checkpoint.ts';

const EMBEDDING = 'embed_tokens.weight';
const HEADS = ['lm_head.weight', 'language_model.lm_head.weight', 'model.lm_head.weight'];

/** Derived values that older exports stored. */
const DERIVED = /\.rotary_emb\.inv_freq$|\.masked_bias$/;

/** The prefix of the text model's tensors, and the name of its head where it has its own. */
export function textNames(checkpoint: Checkpoint): { prefix: string; head: string } {
  const names = [...checkpoint.tensors.keys()];
  const tables = names.filter((n) => n === EMBEDDING || n.endsWith(`.${EMBEDDING}`));
  if (tables.length !== 1) {
    const what = tables.length === 0 ? 'no' : `${tables.length} tensors named`;
    throw new CompileError(
      'missing',
      `${checkpoint.source.name}: ${what} ${EMBEDDING}; not a decoder-only text model`,
    );
  }
  const prefix = tables[0]!.slice(0, -EMBEDDING.length);
  return { prefix, head: HEADS.find((h) => checkpoint.tensors.has(h)) ?? HEADS[0]! };
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
