// The fields that completions and chat share, checked: OpenAI's own and the usual extensions of open servers (top_k,
// min_p, repetition_penalty). Unknown fields are ignored, as clients send many; a known field with a value that this
// server cannot honour is refused, so that nobody gets a different answer than was asked for.
import * as v from 'valibot';
import type { GenerateOptions, Sampling } from '@baton/runtime/text-model';
import { ApiError } from '../api-error.ts';

const number = (low: number, high: number) =>
  v.nullish(v.pipe(v.number(), v.finite(), v.minValue(low), v.maxValue(high)));
const whole = (low: number, high = Number.MAX_SAFE_INTEGER) =>
  v.nullish(v.pipe(v.number(), v.integer(), v.minValue(low), v.maxValue(high)));

/** A field that this server knows and cannot honour: its message says so, and not what type it would have. */
export const unsupported = (what: string, ...harmless: readonly unknown[]) =>
  v.nullish(
    v.custom<unknown>(
      (value) => value === false || harmless.some((one) => JSON.stringify(one) === JSON.stringify(value)),
      `this server has no ${what}`,
    ),
  );

/** Given to the template by this server itself. */
const OWN = ['messages', 'tools', 'add_generation_prompt', 'continue_final_message', 'chat_template'];

/** What a chat template reads besides the messages (vLLM's and SGLang's `chat_template_kwargs`). */
export const templateVariables = v.pipe(
  v.record(v.string(), v.unknown()),
  v.check(
    (given) => !OWN.some((name) => name in given),
    `${OWN.join(', ')} are no variables; send them as fields of the request`,
  ),
);

const structured = unsupported('structured output', { type: 'text' }, '');

/** Most choices of one request, prompts and `n` together. */
export const MOST_CHOICES = 64;

export const generationFields = {
  model: v.nullish(v.string()),
  temperature: number(0, 5),
  top_p: number(0, 1),
  top_k: whole(-1),
  min_p: number(0, 1),
  repetition_penalty: number(0.01, 100),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  logit_bias: v.nullish(
    v.record(v.pipe(v.string(), v.regex(/^\d+$/)), v.pipe(v.number(), v.minValue(-100), v.maxValue(100))),
  ),
  seed: whole(Number.MIN_SAFE_INTEGER),
  stop: v.nullish(v.union([v.string(), v.pipe(v.array(v.string()), v.maxLength(16))])),
  include_stop_str_in_output: v.nullish(v.boolean()),
  n: whole(1, MOST_CHOICES),
  stream: v.nullish(v.boolean()),
  stream_options: v.nullish(v.object({ include_usage: v.nullish(v.boolean()) })),
  response_format: structured,
  // As vLLM and llama.cpp have it, in this order.
  structured_outputs: structured,
  guided_json: structured,
  guided_regex: structured,
  guided_choice: structured,
  guided_grammar: structured,
  json_schema: structured,
  grammar: structured,
};

export type GenerationFields = v.InferOutput<ReturnType<typeof shared>>;
const shared = () => v.object(generationFields);

/** Parses `body` or throws 400 naming the field. */
export function parseBody<S extends v.GenericSchema>(schema: S, body: unknown): v.InferOutput<S> {
  const result = v.safeParse(schema, body);
  if (result.success) return result.output;
  const issue = result.issues[0];
  const field = v.getDotPath(issue);
  if (field && issue.input === undefined)
    throw new ApiError(400, `${field}: it is missing`, { param: field });
  const found = JSON.stringify(issue.input)?.slice(0, 40) ?? 'undefined';
  // The value of these two is the person's text, which error messages and logs must not hold.
  const shown = field?.startsWith('prompt') || field?.startsWith('messages') ? '' : ` (got ${found})`;
  throw new ApiError(
    400,
    `${field ?? 'body'}: ${issue.message.split(' but ')[0]}${shown}`,
    field ? { param: field } : {},
  );
}

/** -1 is how some clients write "until the end". */
export const maxTokensField = v.nullish(v.pipe(v.number(), v.integer(), v.minValue(-1)));

/** The limit as a number of tokens; Infinity for "until the end", `fallback` where none was given. */
export function mostTokens(given: number | null | undefined, fallback: number): number {
  return given === -1 ? Infinity : (given ?? fallback);
}

/** Generation options of choice number `choice`; every choice of a seeded request has a seed of its own. */
export function generateOptions(
  fields: GenerationFields,
  choice: number,
  maxTokens: number,
): GenerateOptions {
  const sampling: Sampling = {
    // OpenAI's default; greedy must be asked for. No mass at all leaves the likeliest token, which is greedy as well.
    temperature: fields.top_p === 0 ? 0 : (fields.temperature ?? 1),
    ...some('topP', fields.top_p || null),
    ...(fields.top_k !== null && fields.top_k !== undefined && fields.top_k > 0
      ? { topK: fields.top_k }
      : {}),
    ...some('minP', fields.min_p),
    ...some('repetitionPenalty', fields.repetition_penalty),
    ...some('presencePenalty', fields.presence_penalty),
    ...some('frequencyPenalty', fields.frequency_penalty),
    ...(fields.logit_bias ? { logitBias: biases(fields.logit_bias) } : {}),
    ...(fields.seed === null || fields.seed === undefined ? {} : { seed: fields.seed + choice }),
  };
  const stop = typeof fields.stop === 'string' ? [fields.stop] : (fields.stop ?? []);
  return {
    sampling,
    ...(maxTokens === Infinity ? {} : { maxTokens }),
    stop: stop.filter((s) => s !== ''),
    ...(fields.include_stop_str_in_output ? { includeStop: true } : {}),
  };
}

/** The API's -100 and 100 mean "never" and "only this one". */
function biases(fields: Readonly<Record<string, number>>): Record<number, number> {
  return Object.fromEntries(
    Object.entries(fields).map(([id, value]) => [id, value <= -100 ? -Infinity : value]),
  );
}

function some<K extends string>(key: K, value: number | null | undefined): Partial<Record<K, number>> {
  return value === null || value === undefined ? {} : ({ [key]: value } as Record<K, number>);
}
