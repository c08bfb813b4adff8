// baton.json, the contract between the compiler and everything that runs a compiled model: what the network is, which
// graphs exist with which inputs, where every weight lies, and what the host has to do around the graphs. Types and
// validation only. A runtime that needs no ONNX (own kernels) finds everything it needs here and in the weight files.
//
// HOST DUTIES, in the order of one forward pass of `n` tokens at slots `p .. p + n - 1` (helpers: ./host/index.ts):
//  (`boundary` f16: `x`, `y`, keys and values are f16; tables, masks and logits stay f32. The ports say so.)
//  1. Embedding: row `embedding.tensor`[token] * `embedding.scale` into `x` [1, L, hidden]. Rows n.. of a padded chunk
//     are zeros. Rows are left-aligned: row r is the token at slot p + r.
//  2. RoPE: for every entry t of `rope`, `cos.t` and `sin.t` [1, 1, L, dims] for positions p .. p + L - 1 (`ropeRows`
//     of `ropeAt`, which picks the frequencies that belong to the cache's capacity).
//     The sign of the half-split rotation is in `sin`: its first half is negated.
//  3. Masks: `mask.m` for every entry m of `masks` (`pastMask`): 0 where row r may see the past slot s, else MASKED.
//     Full attention [1, 1, 1, S]: s < p. Window W [1, 1, L, S]: s < p and s > p + r - W. Causality inside the chunk is
//     a constant of the graph. Slots >= p hold stale but finite numbers, so rollback is only a smaller p.
//     Prefill graphs of `attention` grouped take `total` int32 [1] = p + L instead and know the rest.
//     The last of them also takes `picked` int32 [k], k of its rows (1 <= k <= L), and its `y` is [1, k, hidden]: of the last layer
//     only those rows are computed further than their keys and values. Its ports say L where k is meant.
//  4. Run the layer graphs of one length and capacity in order of `firstLayer`, each taking the previous one's `y` as
//     `x`, with `past_key.i`, `past_value.i` [1, kvHeads, S, headDim] for its layers.
//  5. Cache: rows 0 .. n - 1 of `key.i`, `value.i` [1, kvHeads, L, headDim] are written to slots p .. p + n - 1. The
//     graphs never copy the cache. Rows n.. are padding and must not be used. Caches start as zeros (never NaN).
//     With `cacheUpdate` whole the graphs write them: they also take `keep` [1, 1, S, 1] and `place` [1, 1, S, L]
//     (`slotRows`) and return `next_key.i`, `next_value.i` [1, kvHeads, S, headDim], which take the place of the past ones.
//  6. Head: `head` takes `x` = the last `y` and gives `logits` [1, L, vocab]; rows may be picked by the host first.
//     `columns` gives, for `ids` [WATCHED] int32, `chosen` [1, L, WATCHED] logits, `log_sum_exp` [1, L, 1] and
//     `argmax` [1, L, 1] int32 and `max` [1, L, 1]: log p = chosen - log_sum_exp.
import * as v from 'valibot';
import { ATTENTIONS, LOWERINGS, PREFILL_WEIGHTS } from './options.ts';
import { isPathInside } from './path-inside.ts';

export const MANIFEST_FILE = 'baton.json';
export const MANIFEST_SCHEMA = 'baton.model/1';

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const index = v.pipe(v.number(), v.integer(), v.minValue(0));
const positive = v.pipe(v.number(), v.gtValue(0));
const finite = v.pipe(v.number(), v.finite());
const path = v.pipe(v.string(), v.check(isPathInside, 'must be a relative path inside the model'));

/** One graph input or output. Batch is always 1 and every dimension a constant. */
const port = v.object({ name: v.string(), dtype: v.picklist(['f32', 'f16', 'int32']), dims: v.array(count) });

const graph = v.object({
  /** prefill: L = chunk; decode: L = 1; head: hidden -> logits; columns: hidden -> chosen logits, log-sum-exp, arg-max. */
  role: v.picklist(['prefill', 'decode', 'head', 'columns']),
  file: path,
  /** Layers computed, both inclusive; absent for head and columns. */
  firstLayer: v.exactOptional(index),
  lastLayer: v.exactOptional(index),
  /** L. */
  length: count,
  /** S, the slots of its past inputs; absent for head and columns. */
  capacity: v.exactOptional(count),
  inputs: v.array(port),
  outputs: v.array(port),
});

const tensor = v.object({
  file: path,
  dtype: v.picklist(['f32', 'f16', 'int8', 'int4']),
  /** Matrices are [outputs, inputs], row-major, as in Hugging Face checkpoints; vectors are [n]. */
  dims: v.array(count),
  offset: index,
  /** Bytes. int4: two values a byte, the even index in the low nibble; rows have an even number of inputs. */
  bytes: index,
  /** int8, int4: f32 [outputs, inputs / group], row-major, in the same file. weight = (integer - zeroPoint) * scale. */
  scales: v.exactOptional(v.object({ offset: index, bytes: index })),
  /** Inputs that share a scale; equal to the number of inputs for per-channel scales. */
  group: v.exactOptional(count),
  /**
   * 0: two's complement. 8 (int4) or 128 (int8): unsigned storage, integer + zeroPoint (fused lowering). The integers
   * themselves, -7..7 or -127..127, are the same in both.
   */
  zeroPoint: v.exactOptional(v.picklist([0, 8, 128])),
  /** sqrt(sum (w - stored)^2 / sum w^2) against the checkpoint; 0 for exact copies. */
  relativeError: v.exactOptional(finite),
});

const rope = v.object({
  /** Leading dimensions of a head that rotate (partial rotary: fewer than headDim). Pairs are (j, j + dims / 2). */
  dims: count,
  theta: positive,
  /** Kind of scaling in the checkpoint, already worked into the frequencies below. */
  scaling: v.string(),
  /** dims / 2 angular frequencies, radians per position. */
  inverseFrequencies: v.array(finite),
  /** Factor on cos and sin (yarn, longrope), else 1. */
  attentionFactor: positive,
  /**
   * Scalings that go by the length of the sequence (longrope, dynamic): the frequencies for caches of at most `capacity`
   * slots, ascending; those above are for the largest (`ropeAt` picks). Keys of one cache are all rotated alike, so a
   * sequence that grows from one entry's capacities into another's is run again.
   */
  shorter: v.exactOptional(v.array(v.object({ capacity: count, inverseFrequencies: v.array(finite) }))),
});

const layer = v.object({
  /** Index into `masks`. */
  mask: index,
  /** Index into `rope`, or null for a layer without rotation. */
  rope: v.nullable(index),
});

const architecture = v.object({
  hiddenSize: count,
  layers: v.array(layer),
  heads: count,
  kvHeads: count,
  headDim: count,
  intermediateSize: count,
  vocabSize: count,
  rmsNormEps: positive,
  activation: v.picklist(['silu', 'gelu-tanh', 'gelu']),
  /** Factor of q . k. */
  attentionScale: positive,
  /** cap * tanh(x / cap) on attention scores, on logits. */
  attentionCap: v.exactOptional(positive),
  logitCap: v.exactOptional(positive),
  tiedEmbeddings: v.boolean(),
  /** Where RMSNorms stand: before a block, behind it (before the residual sum), or both. */
  norms: v.picklist(['pre', 'post', 'sandwich']),
  /** RMSNorm of queries and keys before RoPE: per head ([headDim]) or over the whole projection. */
  queryKeyNorm: v.picklist(['none', 'head', 'projection']),
});

const manifest = v.object({
  schema: v.literal(MANIFEST_SCHEMA),
  id: v.string(),
  family: v.string(),
  /** What it was compiled from, and by which version. */
  source: v.object({ name: v.string(), compiler: v.string(), parameters: index }),
  architecture,
  rope: v.array(rope),
  /** Masks that layers ask for; `window` null = full attention, else slots a token sees, itself included. */
  masks: v.array(v.object({ window: v.nullable(count) })),
  embedding: v.object({ tensor: v.string(), scale: finite }),
  /** Ascending. Each has its own prefill and decode graphs over the same weights. */
  capacities: v.pipe(v.array(count), v.minLength(1)),
  chunk: count,
  layersPerGraph: count,
  lowering: v.picklist(LOWERINGS),
  /** rows: graphs return new rows, the host writes them; whole: graphs return the whole updated cache. */
  cacheUpdate: v.optional(v.picklist(['rows', 'whole']), 'rows'),
  /** grouped: prefill graphs attend in one contrib operator over the filled slots (duty 3). */
  attention: v.optional(v.picklist(ATTENTIONS), 'primitive'),
  /** bytes: prefill graphs unpack int4 weights when they are loaded; the same numbers, for whoever counts memory. */
  prefillWeights: v.optional(v.picklist(PREFILL_WEIGHTS), 'stored'),
  /** Type of hidden states, keys and values at graph boundaries. */
  boundary: v.optional(v.picklist(['f32', 'f16']), 'f32'),
  weights: v.picklist(['f32', 'f16', 'int8', 'int4']),
  /** Group asked for; a tensor whose inputs it does not divide has its own. 'channel' = one scale per output. */
  group: v.exactOptional(v.union([count, v.literal('channel')])),
  graphs: v.array(graph),
  /** External data of every graph: pass it to ONNX Runtime Web under exactly this name. */
  weightsFile: path,
  /**
   * layers.I. + inputNorm, postAttentionNorm, feedForwardNorm, postFeedForwardNorm, queryNorm, keyNorm (multipliers as
   * applied), query, key, value, output, gate, up, down, query.bias ... down.bias; then finalNorm, head, head.bias, embedding.
   */
  tensors: v.record(v.string(), tensor),
  tokenizerFiles: v.array(path),
  /** Token ids that end a text: all of generation_config.json and config.json. */
  stopIds: v.array(index),
  bosId: v.exactOptional(index),
  files: v.array(v.object({ path, bytes: index, sha256: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) })),
});

export type Manifest = v.InferOutput<typeof manifest>;
export type ManifestGraph = v.InferOutput<typeof graph>;
export type ManifestPort = v.InferOutput<typeof port>;
export type ManifestTensor = v.InferOutput<typeof tensor>;
export type ManifestRope = v.InferOutput<typeof rope>;
export type ManifestArchitecture = v.InferOutput<typeof architecture>;

/** Number of ids that a `columns` graph takes; fewer are padded with any valid id. */
export const WATCHED = 8;

/** A baton.json that is not one, or contradicts itself. The message says where and what. */
export class ManifestError extends Error {
  override readonly name = 'ManifestError';
}

/** Validates the parsed JSON (or its text) of a baton.json. Throws ManifestError naming the field. */
export function parseManifest(json: unknown): Manifest {
  const value = typeof json === 'string' ? parseJson(json) : json;
  const schema = (value as { schema?: unknown } | null)?.schema;
  if (schema !== MANIFEST_SCHEMA) {
    const seen = schema === undefined ? 'no schema field' : `schema ${JSON.stringify(schema)}`;
    throw new ManifestError(
      `${MANIFEST_FILE}: ${seen}, expected "${MANIFEST_SCHEMA}"; compile the model again`,
    );
  }
  const result = v.safeParse(manifest, value);
  if (!result.success) {
    const issue = result.issues[0];
    throw new ManifestError(`${MANIFEST_FILE}: ${v.getDotPath(issue) ?? '(root)'}: ${issue.message}`);
  }
  checkReferences(result.output);
  return result.output;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ManifestError(`${MANIFEST_FILE}: not JSON (${(cause as Error).message})`, { cause });
  }
}

function checkReferences(m: Manifest): void {
  const sizes = new Map(m.files.map((f) => [f.path, f.bytes]));
  const fail = (where: string, what: string) => {
    throw new ManifestError(`${MANIFEST_FILE}: ${where}: ${what}`);
  };
  for (const { file } of m.graphs) if (!sizes.has(file)) fail('graphs', `${file} is not in files`);
  for (const [name, t] of Object.entries(m.tensors)) {
    const size = sizes.get(t.file) ?? fail(`tensors.${name}`, `${t.file} is not in files`)!;
    const end = Math.max(t.offset + t.bytes, t.scales ? t.scales.offset + t.scales.bytes : 0);
    if (end > size) fail(`tensors.${name}`, `ends at byte ${end} of ${t.file}, which has ${size}`);
  }
  if (!m.tensors[m.embedding.tensor]) fail('embedding', `no tensor ${m.embedding.tensor}`);
  m.architecture.layers.forEach((l, i) => {
    if (!m.masks[l.mask]) fail(`architecture.layers.${i}`, `no mask ${l.mask}`);
    if (l.rope !== null && !m.rope[l.rope]) fail(`architecture.layers.${i}`, `no rope table ${l.rope}`);
  });
}
