// The face of the relay: a question and two models in, a stream of events out, ending in a trace that is complete
// whatever happened on the way.

import { turnOfEventLoop } from '@baton/runtime/event-loop';
import { renderContinued } from '@baton/runtime/render-continued';
import type { ChatMessage, Sampling, TextModel } from '@baton/runtime/text-model';
import { underSignal } from '@baton/runtime/under-signal';

import { Channel } from './channel.ts';
import type { SolveEvent } from './events.ts';
import type { Gate } from './policies/gate.ts';
import { parsePolicy } from './policies/parse.ts';
import { runPolicy } from './policies/policy.ts';
import type { Policy } from './policies/policy.ts';
import { seededRandom } from './random.ts';
import { admit, checkBudget } from './relay/budget.ts';
import type { Budget } from './relay/budget.ts';
import { KeepWarm } from './relay/keep-warm.ts';
import { LargeSide } from './relay/large-side.ts';
import { Ledger } from './relay/ledger.ts';
import type { Prices } from './relay/prices.ts';
import { OUT_OF_TIME, Relay, spentMoney } from './relay/relay.ts';
import { SmallSide } from './relay/small-side.ts';
import { SplitError, messageOf } from './split-error.ts';
import { plainPrompt } from './text/plain-prompt.ts';
import { TAGS, neutralise } from './text/tags.ts';
import { timerMs } from './timer.ts';
import type { Tags } from './text/tags.ts';
import { buildTrace } from './relay/build-trace.ts';
import type { Trace, TraceModel, TraceStopReason } from './trace.ts';

export interface SolveOptions {
  small: TextModel | null;
  large?: TextModel | null;
  /** A policy or its name ("learned", "random:0.05" ...). Default: "learned" with a large model, else "small". */
  policy?: Policy | string;
  budget?: Budget;
  /** Of the large model, per million tokens. */
  prices?: Prices;
  /** The conversation before the question: a system message, earlier turns. Both models read it. */
  history?: readonly ChatMessage[];
  /** The beginning of the answer, which both models go on from. It ends the trace's prompt and is no part of its text. */
  begun?: string;
  /**
   * The question is the whole prompt, as it is: no chat template stands around it. An endpoint that takes messages only gets it as one. Not
   * with `history` or `begun`.
   */
  raw?: boolean;
  sampling?: Sampling;
  /** Default: as `sampling`, without its logit bias, whose ids are those of the small model's vocabulary. */
  largeSampling?: Sampling;
  tags?: Tags;
  /** Text in front of the answer for the large model. Default: the small model's rendering. */
  renderLarge?: (question: string) => string | Promise<string>;
  /** Keep the large side's prefix cache warm. Default: yes, unless its input is billed. */
  keepWarm?: boolean;
  /**
   * Send the prompt while it is still being written, where the endpoint reads it along; otherwise, and elsewhere, whole prompts keep the
   * cache warm. Default true.
   */
  streamPrompts?: boolean;
  /** Send the hand-off before a tag of several tokens is complete. Default true. */
  earlyRequest?: boolean;
  /** Control the large stream while it arrives. Default true; false is the slow way, for comparison. */
  overlap?: boolean;
  /** Longest a span may take, in milliseconds. Default 120 s. */
  spanMs?: number;
  /** Decides before the first token whether this question needs the large model at all. */
  gate?: Gate;
  signal?: AbortSignal;
  /** Milliseconds on any clock that only goes forward. */
  clock?: () => number;
}

/**
 * Answers a question. Iterating gives events; the last one is `{type: 'end', trace}` and the trace is also the
 * iterator's return value. Leaving the iteration early stops everything. Throws SplitError before the first event for
 * options that cannot work; after that every failure ends in a trace.
 */
export async function* solve(question: string, options: SolveOptions): AsyncGenerator<SolveEvent, Trace> {
  const policy = choosePolicy(options);
  check(question, options, policy);
  const control = new AbortController();
  const onAbort = (): void => control.abort(options.signal?.reason);
  options.signal?.addEventListener('abort', onAbort, { once: true });
  if (options.signal?.aborted) onAbort();
  const channel = new Channel<SolveEvent>();
  const running = start(question, options, policy, control, channel).then(
    (trace) => {
      channel.close();
      return trace;
    },
    (error: unknown) => {
      channel.close(error);
      return null;
    },
  );
  try {
    yield* channel;
    return (await running)!;
  } finally {
    options.signal?.removeEventListener('abort', onAbort);
    control.abort();
    await running;
  }
}

/** Runs `solve` to its end and gives the trace. */
export async function solveToTrace(
  question: string,
  options: SolveOptions,
  onEvent?: (event: SolveEvent) => void,
): Promise<Trace> {
  const events = solve(question, options);
  for (;;) {
    const next = await events.next();
    if (next.done) return next.value;
    onEvent?.(next.value);
  }
}

function choosePolicy(options: SolveOptions): Policy {
  const wanted = options.policy ?? (options.large ? 'learned' : 'small');
  return typeof wanted === 'string' ? parsePolicy(wanted) : wanted;
}

function check(question: string, options: SolveOptions, policy: Policy): void {
  if (typeof question !== 'string' || question.trim() === '')
    throw new SplitError('bad-input', 'the question is empty');
  if (policy.needs.large && !options.large)
    throw new SplitError(
      'large-missing',
      `policy ${policy.name} needs a large model; configure one (--large)`,
    );
  if (policy.needs.small && !options.small)
    throw new SplitError('unsuitable-model', `policy ${policy.name} needs a small model`);
  const { tags, history = [], begun = '' } = options;
  if (options.raw && (history.length > 0 || begun !== ''))
    throw new SplitError(
      'bad-input',
      'a raw prompt holds everything: it goes with no history and no beginning',
    );
  // One character could not be told from the same character in a question.
  if (tags && (tags.open.length < 2 || tags.close.length < 2 || tags.open === tags.close))
    throw new SplitError(
      'bad-input',
      'the open and the close tag must be two different texts of at least two characters',
    );
  checkBudget(options.budget ?? {});
}

async function start(
  question: string,
  options: SolveOptions,
  policy: Policy,
  control: AbortController,
  channel: Channel<SolveEvent>,
): Promise<Trace> {
  const clock = options.clock ?? (() => performance.now());
  const tags = options.tags ?? TAGS;
  const sampling = options.sampling ?? {};
  const { mostSpans } = policy;
  const budget = { ...(mostSpans === undefined ? {} : { maxSpans: mostSpans }), ...options.budget };
  const asked = neutralise(question, tags);
  const { begun = '', raw = false } = options;
  const history = (options.history ?? []).map(({ role, content }) =>
    role === 'user' ? { role, content: neutralise(content, tags) } : { role, content },
  );
  const startedAt = new Date().toISOString();
  const begin = clock();
  const now = (): number => clock() - begin;
  const emit = (event: SolveEvent): void => channel.push(event);
  const { signal } = control;
  const timer =
    budget.maxMs === undefined
      ? undefined
      : setTimeout(() => control.abort(OUT_OF_TIME), timerMs(budget.maxMs));
  let failed: unknown = null;
  const orFail = async <T>(work: Promise<T>, otherwise: T): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      // What cannot work at all is the caller's mistake; what fails now ends in a trace like any other failure.
      if (error instanceof SplitError) {
        clearTimeout(timer);
        throw error;
      }
      failed ??= error;
      return otherwise;
    }
  };
  const rendering = raw ? Promise.resolve(question) : renderPrompt(asked, history, options);
  const prompt = await orFail(underSignal(rendering, signal), plainPrompt(asked, history) + begun);
  const renderedLarge = Promise.resolve(options.renderLarge?.(asked)).then((text) =>
    text === undefined ? prompt : text + begun,
  );
  const largePrompt = await orFail(underSignal(renderedLarge, signal), prompt);
  const models = {
    small: describe(options.small, 'none'),
    large: options.large ? describe(options.large, '') : null,
  };
  const seed = sampling.seed ?? null;
  emit({ type: 'start', question, prompt, models, policy: policy.name, seed, startedAt });

  const ledger = new Ledger(emit, now);
  const large = options.large
    ? new LargeSide({
        model: options.large,
        history,
        question: asked,
        prompt: largePrompt,
        begun,
        raw,
        tags,
        sampling: options.largeSampling ?? withoutBias(sampling),
        prices: options.prices ?? null,
        spanMs: options.spanMs ?? 120_000,
        streamPrompts: options.streamPrompts ?? true,
        now,
        emit,
      })
    : null;
  const warm =
    large && policy.needs.large && (options.keepWarm ?? !large.model.capabilities.billed)
      ? new KeepWarm(
          large,
          (line) => ledger.note(line),
          now,
          (answer) => leavesHandOff(budget, ledger, large, answer, options.prices !== undefined),
        )
      : null;
  // Before anything else: what the large side has to read of it is what a hand-off that comes soon waits for.
  const atOnce = failed === null && !options.gate && policy.needs.small;
  if (atOnce && warm) {
    if (large?.beforeKnown) await Promise.race([large.beforeKnown, turnOfEventLoop()]);
    warm.offer('');
    // It is written to the connection behind all that can be done at once, and reading a prompt begins with milliseconds of that.
    await turnOfEventLoop();
  }
  const closeLarge = async (): Promise<void> => {
    await warm?.stop();
    await large?.close();
  };
  // A gate is the small model's, whatever the policy needs.
  const wanted = failed === null && (policy.needs.small || options.gate) ? options.small : null;
  const opening = wanted && openSmall(wanted, tags, signal);
  opening?.catch(() => closeLarge());
  const small = opening ? await orFail<SmallSide | null>(opening, null) : null;
  const relay = new Relay({
    question: asked,
    prompt,
    tags,
    small,
    large,
    ledger,
    budget,
    sampling,
    keepWarm: warm,
    early: options.earlyRequest ?? true,
    overlap: options.overlap ?? true,
    random: seededRandom(sampling.seed ?? 0),
    signal,
    now,
    emit,
    priced: options.prices !== undefined,
  });
  let stopReason: TraceStopReason;
  try {
    if (failed !== null) throw failed;
    const gated = await options.gate?.(asked, relay);
    if (gated) ledger.note(gated.note);
    const chosen = gated?.policy ?? policy;
    // Behind a gate, in the first turn after the small model has begun to read.
    if (!atOnce && chosen.needs.small && chosen.needs.large)
      void turnOfEventLoop().then(() => warm?.offer(relay.answer));
    stopReason = await runPolicy(chosen, relay);
    // A policy may end between two pieces of one segment.
    ledger.end(stopReason === 'error' ? 'small-error' : stopReason);
  } catch (error) {
    stopReason = signal.aborted ? relay.stopReason() : 'error';
    if (stopReason === 'error') ledger.note(`stopped: ${messageOf(error)}`);
    ledger.end(stopReason === 'error' ? 'small-error' : stopReason, { detail: messageOf(error) });
  } finally {
    clearTimeout(timer);
  }
  large?.closePrompt();
  const trace = buildTrace(relay, {
    question,
    prompt,
    models,
    policy: policy.name,
    seed,
    stopReason,
    startedAt,
  });
  emit({ type: 'end', trace });
  // Closing must neither delay the trace nor fail it.
  void Promise.allSettled([closeLarge(), small?.dispose()]);
  return trace;
}

/** Whether the budget still lets a hand-off behind `answer` come where its text is read, and paid for, once before. */
function leavesHandOff(
  budget: Budget,
  ledger: Ledger,
  large: LargeSide,
  answer: string,
  priced: boolean,
): boolean {
  const next = priced ? large.nextCost(answer) : null;
  const spent = {
    smallTokens: ledger.tokens('small'),
    largeTokens: ledger.tokens('large'),
    discardedTokens: ledger.discarded,
    spans: ledger.spans,
    cost: spentMoney(ledger, large) + (next?.input ?? 0),
    elapsedMs: 0,
  };
  const admission = admit(budget, spent, next);
  return admission.admitted || !admission.lasting;
}

/** Opened under the run's signal: a model behind a network may keep one waiting. */
async function openSmall(model: TextModel, tags: Tags, signal: AbortSignal): Promise<SmallSide> {
  const opening = SmallSide.create(model, tags);
  try {
    return await underSignal(opening, signal);
  } catch (error) {
    void opening.then((small) => small.dispose()).catch(() => undefined);
    throw error;
  }
}

async function renderPrompt(
  question: string,
  history: readonly ChatMessage[],
  options: SolveOptions,
): Promise<string> {
  const messages: ChatMessage[] = [...history, { role: 'user', content: question }];
  const { small, large, begun = '' } = options;
  const model = small?.renderChat ? small : large?.renderChat ? large : null;
  if (model && begun !== '') {
    const continued = await renderContinued(model, [...messages, { role: 'assistant', content: begun }]);
    if (continued !== null) return continued;
  }
  if (model) return (await model.renderChat!(messages, { addGenerationPrompt: true })) + begun;
  if (options.renderLarge) return (await options.renderLarge(question)) + begun;
  return plainPrompt(question, history) + begun;
}

function withoutBias(sampling: Sampling): Sampling {
  const { logitBias: _ids, ...rest } = sampling;
  return rest;
}

function describe(model: TextModel | null, none: string): TraceModel {
  return model ? { id: model.id, location: model.location } : { id: none, location: none };
}
