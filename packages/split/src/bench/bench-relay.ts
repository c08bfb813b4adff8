// `baton bench relay`: hand-off and hand-back over a real local HTTP endpoint with added latency, in four parts that can be
// measured apart: the protocols beside the ideal, the hand-off at a long context, the speculative hand-off, and whether
// one-pass hand-back decisions are those of exhaustive probing.

import type { TextModel } from '@baton/runtime/text-model';

import { sleep } from '../endpoint/event-stream.ts';
import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';
import { solveToTrace } from '../solve.ts';
import type { SolveOptions } from '../solve.ts';
import { TAGS } from '../text/tags.ts';
import type { Trace } from '../trace.ts';
import { contextHandOff } from './context-hand-off.ts';
import type { ContextHandOff } from './context-hand-off.ts';
import { earlyHandOff } from './early-hand-off.ts';
import type { EarlyHandOff } from './early-hand-off.ts';
import { compareWithExhaustive, tokenEnds } from './exhaustive.ts';
import { serveModel } from './model-endpoint.ts';
import { PROTOCOLS, summarise } from './protocols.ts';
import type { Protocol, ProtocolFigures } from './protocols.ts';
import { readingPaceOf } from './reading-pace-of.ts';

export const BENCH_PARTS = ['protocols', 'paced', 'context', 'early', 'agreement'] as const;
export type BenchPart = (typeof BENCH_PARTS)[number];

const WARM_UP_QUESTIONS = 3;

/** Behind a run its last texts are still on their way, and are read when they come: the next one begins this long behind a round trip. */
const APART_MS = 10;

/** Where the large model is served. In a process of its own what overlaps in real use overlaps here too. */
export interface BenchEndpoint {
  url: string;
  /** The added round trip, in milliseconds; resolves when it holds. */
  setLatency(ms: number): Promise<void> | void;
  /** The least time between tokens, in milliseconds; resolves when it holds. */
  setPace(ms: number): Promise<void> | void;
}

export interface ContextPair {
  small: TextModel;
  largeId: string;
  endpoint: BenchEndpoint;
  /** For a slow pair: fewer round trips and rounds. */
  latenciesMs?: readonly number[];
  rounds?: number;
}

export interface BenchRelayOptions {
  small: TextModel;
  /** For its tokens; served over HTTP by the benchmark itself where no endpoint is given. */
  large: TextModel;
  endpoint?: BenchEndpoint;
  questions: readonly string[];
  parts?: readonly BenchPart[];
  /** Added round trips, in milliseconds. Default 20, 80, 200. */
  latenciesMs?: readonly number[];
  /** How often each protocol answers each question, with tokens that come as fast as they are written. Default 1. */
  rounds?: number;
  /** Context of the hand-off measurement, in small-model tokens. Default 1000. */
  contextTokens?: number;
  /** Pairs for the hand-off at a long context. Default: `small` and `large`. */
  contextPairs?: readonly ContextPair[];
  /** Questions for the comparison with exhaustive probing. Default: `questions`. */
  agreementQuestions?: readonly string[];
  signal?: AbortSignal;
  onProgress?: (line: string) => void;
}

export interface HandBackAgreement {
  questions: number;
  spans: number;
  equal: number;
  share: number | null;
  /** Small-model tokens decoded to decide. */
  probeTokens: number;
}

export interface ProtocolsAt {
  latencyMs: number;
  /** How often each question was answered. */
  rounds: number;
  /** How long the large model reads a character, in milliseconds, with nothing else to do. */
  readMs: number;
  figures: ProtocolFigures[];
}

/** About what a 32B model takes per token on a server's GPU (SplitReason measured 16 tokens a second on A6000s; newer cards are faster). */
const PACE_MS = 15;

export interface RelayBench {
  schema: 'baton.bench.relay/4';
  small: { id: string; location: string };
  large: { id: string; location: string };
  /** Absent where the part was not measured. */
  protocols?: ProtocolsAt[];
  /** The same with the large model's tokens no faster than PACE_MS each, as a model of real size would write them. */
  paced?: { paceMs: number; latencies: ProtocolsAt[] };
  contextHandOff?: ContextHandOff[];
  earlyHandOff?: EarlyHandOff[];
  handBackAgreement?: HandBackAgreement;
  notes: string[];
}

/** Runs the wanted parts; minutes with real models. */
export async function benchRelay(options: BenchRelayOptions): Promise<RelayBench> {
  const { small, large } = options;
  const parts = new Set<BenchPart>(options.parts ?? BENCH_PARTS);
  const own = options.endpoint ? null : await serveModel(large);
  const bench = new Bench(options, options.endpoint ?? own!);
  const result: RelayBench = {
    schema: 'baton.bench.relay/4',
    small: { id: small.id, location: small.location },
    large: { id: large.id, location: large.location },
    notes: [
      own
        ? 'both models share one process, so what overlaps also competes'
        : 'the large model is served by a process of its own on the same machine',
      'paper-serial probes run one after another here; the original batches them',
      'ideal: the small model’s first token, every kept token at the pace of its segment, one round trip per span, and of the large model’s reading what takes longer than the small model’s writing',
    ],
  };
  try {
    // Unmeasured: first runs pay for lazy compilation, in both processes.
    for (const question of options.questions.slice(0, WARM_UP_QUESTIONS))
      for (const how of Object.values(PROTOCOLS)) await bench.run(question, how);
    if (parts.has('protocols')) result.protocols = await bench.protocols();
    if (parts.has('paced')) result.paced = await bench.paced();
    if (parts.has('context')) result.contextHandOff = await bench.context();
    if (parts.has('early')) result.earlyHandOff = await bench.early();
    if (parts.has('agreement')) result.handBackAgreement = await bench.agreement();
    return result;
  } finally {
    await own?.close();
  }
}

class Bench {
  readonly #options: BenchRelayOptions;
  readonly #endpoint: BenchEndpoint;
  readonly #latencies: readonly number[];
  /** One for all runs, as in use: what it learns of the server stays known. */
  readonly #remote: OpenAICompletionsModel;

  constructor(options: BenchRelayOptions, endpoint: BenchEndpoint) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#latencies = options.latenciesMs ?? [20, 80, 200];
    this.#remote = new OpenAICompletionsModel({ url: endpoint.url, model: options.large.id });
  }

  run(question: string, extra: Partial<SolveOptions>): Promise<Trace> {
    const { small, signal } = this.#options;
    signal?.throwIfAborted();
    return solveToTrace(question, { small, large: this.#remote, ...extra, ...(signal ? { signal } : {}) });
  }

  /**
   * The protocols take turns question by question, so that whatever else the machine does hits all of them alike; each is at another
   * question, as far apart as there are questions, so that none finds in the server's cache what another has just had read.
   */
  async protocols(rounds = this.#options.rounds ?? 1): Promise<ProtocolsAt[]> {
    const { questions } = this.#options;
    const names = Object.keys(PROTOCOLS) as Protocol[];
    const measured: ProtocolsAt[] = [];
    for (const latencyMs of this.#latencies) {
      await this.#endpoint.setLatency(0);
      const readMs = await readingPaceOf(this.#remote, questions.join('\n'), this.#options.signal);
      await this.#endpoint.setLatency(latencyMs);
      const traces = new Map<Protocol, Trace[]>(names.map((name) => [name, []]));
      const apart = Math.floor(questions.length / names.length);
      for (let turn = 0; turn < rounds * questions.length; turn++) {
        for (const [i, name] of names.entries()) {
          const question = questions[(turn + i * apart) % questions.length]!;
          traces.get(name)!.push(await this.run(question, PROTOCOLS[name]));
          await sleep(latencyMs + APART_MS, this.#options.signal);
        }
      }
      const figures = names.map((name) => summarise(name, traces.get(name)!, latencyMs, readMs));
      for (const { protocol, wallClockMs, overIdeal } of figures)
        this.#say(
          `${latencyMs} ms, ${protocol}: ${Math.round(wallClockMs)} ms per question, ${overIdeal.toFixed(2)} of the ideal`,
        );
      measured.push({ latencyMs, rounds, readMs, figures });
    }
    return measured;
  }

  async paced(): Promise<NonNullable<RelayBench['paced']>> {
    await this.#endpoint.setPace(PACE_MS);
    try {
      return { paceMs: PACE_MS, latencies: await this.protocols(1) };
    } finally {
      await this.#endpoint.setPace(0);
    }
  }

  async context(): Promise<ContextHandOff[]> {
    const { small, large, signal, contextTokens = 1000 } = this.#options;
    const own: ContextPair = { small, largeId: large.id, endpoint: this.#endpoint };
    const pairs = this.#options.contextPairs ?? [own];
    const measured: ContextHandOff[] = [];
    for (const pair of pairs) {
      const large =
        pair.endpoint === this.#endpoint
          ? this.#remote
          : new OpenAICompletionsModel({ url: pair.endpoint.url, model: pair.largeId });
      const text = await textOf(pair.small, this.#options.questions, contextTokens);
      for (const latencyMs of pair.latenciesMs ?? this.#latencies) {
        await pair.endpoint.setLatency(latencyMs);
        const figures = await contextHandOff({
          small: pair.small,
          large,
          text,
          latencyMs,
          signal,
          ...(pair.rounds === undefined ? {} : { rounds: pair.rounds }),
        });
        this.#say(
          `${latencyMs} ms, ${figures.contextTokens} tokens of context for ${figures.large}: first token after ${Math.round(figures.serialMs)} ms serially, ${Math.round(figures.pipelinedMs)} ms pipelined`,
        );
        measured.push(figures);
      }
    }
    return measured;
  }

  async early(): Promise<EarlyHandOff[]> {
    const { small, large, questions, signal } = this.#options;
    const measured: EarlyHandOff[] = [];
    for (const latencyMs of this.#latencies) {
      await this.#endpoint.setLatency(latencyMs);
      const some = questions.slice(0, 12);
      measured.push(await earlyHandOff(small, this.#endpoint.url, large.id, some, latencyMs, signal));
      this.#say(`${latencyMs} ms, early hand-offs: ${measured.at(-1)!.sent} sent`);
    }
    return measured;
  }

  async agreement(): Promise<HandBackAgreement> {
    const { small, large, questions, agreementQuestions = questions } = this.#options;
    await this.#endpoint.setLatency(0);
    const found: HandBackAgreement = {
      questions: agreementQuestions.length,
      spans: 0,
      equal: 0,
      share: null,
      probeTokens: 0,
    };
    for (const [i, question] of agreementQuestions.entries()) {
      const trace = await this.run(question, PROTOCOLS.pipelined);
      found.probeTokens += trace.totals.probeTokens ?? 0;
      const spans = await compareWithExhaustive(trace, small, TAGS, (before, span) =>
        tokenEnds(large, before, span),
      );
      found.spans += spans.length;
      found.equal += spans.filter(({ agrees }) => agrees).length;
      if ((i + 1) % 20 === 0)
        this.#say(
          `exhaustive probing: ${found.equal} of ${found.spans} spans equal after ${i + 1} questions`,
        );
    }
    found.share = found.spans === 0 ? null : found.equal / found.spans;
    return found;
  }

  #say(line: string): void {
    this.#options.onProgress?.(line);
  }
}

/** Text of the questions' own words, `tokens` small-model tokens long; less where the model's context is shorter. */
async function textOf(small: TextModel, questions: readonly string[], tokens: number): Promise<string> {
  const session = await small.openSession!();
  const { capacity } = await session.state();
  await session.close();
  const most = Math.min(tokens, capacity - 40);
  let all = '';
  for (let i = 0; all.length < most * 8; i++) all += `${questions[i % questions.length]!}\n`;
  const ends = await tokenEnds(small, 'Q: ', all.slice(0, (capacity - 40) * 2));
  return all.slice(0, ends[Math.min(most, ends.length) - 1]);
}
