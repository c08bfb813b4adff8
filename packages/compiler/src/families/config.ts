// config.json read field by field. Remembers what was read, so that a field that no description looks at is an error
// instead of a wrong model.
import { CompileError } from '../errors.ts';

/** Fields that say nothing about the network's arithmetic. */
const HARMLESS = new Set([
  '_attn_implementation',
  '_commit_hash',
  '_name_or_path',
  'architectures',
  'attention_dropout',
  'auto_map',
  'bos_token_id',
  'cache_implementation',
  'chunk_size_feed_forward',
  'dtype',
  'embd_pdrop',
  'eos_token_id',
  'hidden_dropout',
  'id2label',
  'initializer_range',
  'is_encoder_decoder',
  'is_llama_config',
  'label2id',
  'max_position_embeddings',
  'max_window_layers',
  'model_type',
  'output_attentions',
  'output_hidden_states',
  'pad_token_id',
  'pretraining_tp',
  'problem_type',
  'resid_pdrop',
  'return_dict',
  'tokenizer_class',
  'torch_dtype',
  'transformers.js_config',
  'transformers_version',
  'unsloth_fixed',
  'unsloth_version',
  'use_cache',
]);

/** Switches of rarer variants: at this value the network is the one described, otherwise not. */
const FIXED: Readonly<Record<string, unknown>> = {
  attention_bias: false,
  full_attn_mod: 1,
  interpolate_factor: 1,
  lm_head_bias: false,
  mlp_bias: false,
  rope_interleaved: false,
  use_bidirectional_attention: false,
  use_mrope: false,
};

export class Config {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #read = new Set<string>();
  readonly where: string;

  constructor(fields: Readonly<Record<string, unknown>>, where = 'config.json') {
    this.#fields = fields;
    this.where = where;
  }

  /** Whether config.json says anything, null included. */
  has(name: string): boolean {
    return name in this.#fields;
  }

  /** The raw value; undefined for null or absent. */
  get(name: string): unknown {
    this.#read.add(name);
    return this.#fields[name] ?? undefined;
  }

  /** A finite number; `fallback` null = may be absent. */
  number(name: string): number;
  number<T>(name: string, fallback: T): number | T;
  number(name: string, ...fallback: unknown[]): unknown {
    return this.#typed(name, 'a number', (x) => typeof x === 'number' && Number.isFinite(x), fallback);
  }

  /** A number above 0. */
  positive<T>(name: string, fallback: T): number | T {
    const ok = (x: unknown) => typeof x === 'number' && x > 0 && Number.isFinite(x);
    return this.#typed(name, 'a positive number', ok, [fallback]) as number | T;
  }

  /** A positive integer. */
  count(name: string): number;
  count<T>(name: string, fallback: T): number | T;
  count(name: string, ...fallback: unknown[]): unknown {
    return this.#typed(name, 'a positive integer', (x) => Number.isInteger(x) && (x as number) > 0, fallback);
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.#typed(name, 'true or false', (x) => typeof x === 'boolean', [fallback]) as boolean;
  }

  string(name: string, ...fallback: string[]): string {
    return this.#typed(name, 'a string', (x) => typeof x === 'string', fallback) as string;
  }

  /** A list with an entry for each of `layers`; undefined where absent. */
  perLayer(name: string, layers: number): readonly unknown[] | undefined {
    const ok = (x: unknown) => Array.isArray(x) && x.length === layers;
    const what = `a list of ${layers} entries, one for each layer`;
    return this.#typed(name, what, ok, [undefined]) as readonly unknown[] | undefined;
  }

  numbers(name: string): readonly number[] {
    const ok = (x: unknown) => Array.isArray(x) && x.every((n) => typeof n === 'number');
    return this.#typed(name, 'a list of numbers', ok, []) as readonly number[];
  }

  /** A nested object as its own Config; null where absent or empty. */
  object(name: string): Config | null {
    const ok = (x: unknown) => typeof x === 'object' && !Array.isArray(x);
    const value = this.#typed(name, 'an object', ok, [{}]) as Record<string, unknown>;
    return Object.keys(value).length === 0 ? null : new Config(value, `${this.where}: ${name}`);
  }

  /** These fields with those of `other` over them. */
  with(other: Config): Config {
    return new Config({ ...this.#fields, ...other.#fields }, `${this.where} with ${other.where}`);
  }

  unsupported(name: string, what: string): never {
    throw new CompileError('unsupported', `${this.where}: ${name} ${what}`);
  }

  /** Throws for every field that was not read and is not known to be harmless. `ignored` are the caller's own. */
  finish(ignored: readonly string[] = []): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      if (value === null || this.#read.has(name) || HARMLESS.has(name) || ignored.includes(name)) continue;
      if (name in FIXED && FIXED[name] === value) continue;
      const shown = JSON.stringify(value).slice(0, 60);
      this.unsupported(
        name,
        `(${shown}) is not understood, so the network might come out wrong; if it changes no arithmetic, pass it in ignoreConfigFields`,
      );
    }
  }

  #typed(name: string, what: string, ok: (x: unknown) => boolean, fallback: readonly unknown[]): unknown {
    const value = this.get(name);
    if (value === undefined) {
      if (fallback.length > 0) return fallback[0];
      throw new CompileError('bad-config', `${this.where}: ${name} is missing`);
    }
    if (!ok(value)) {
      throw new CompileError(
        'bad-config',
        `${this.where}: ${name} is ${JSON.stringify(value).slice(0, 60)}, not ${what}`,
      );
    }
    return value;
  }
}
