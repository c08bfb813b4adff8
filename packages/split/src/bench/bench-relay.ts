// `baton bench relay`: the same questions under the paper's serial protocol, under ours without and with pipelining, over
// a real local HTTP endpoint with added latency, and the ideal that the traces allow.

import type { TextModel } from '@baton/runtime/text-model';

import { OpenAICompletionsModel } from '../endpoint/openai-completions.ts';
import { solveToTrace } from '../solve.ts';
import type { SolveOptions } from '../solve.ts';
import { TAGS } from '../text/tags.ts';
import type { Trace } from '../trace.ts';
import { contextHandOff } from './context-hand-off.ts';
import type { ContextHandOff } from './context-hand-off.ts';
import { compareWithExhaustive, tokenEnds } from './exhaustive.ts';
import { serveModel } from './model-endpoint.ts';
import { paperSerial } from './paper-serial.ts';

export interface BenchRelayOptions {
  small: TextModel;
  /** Served over HTTP by the benchmark itself. */
  large: TextModel;
  questions: readonly string[];
  /** Added round trips, in milliseconds. Default 20, 80, 200. */
  latenciesMs?: readonly number[];
  /** Context of the hand-off measurement, in large-model tokens. Default 1000; 0 leaves it out. */
  contextTokens?: number;
  /** Questions that the paper's protocol also answers; it is slow. Default: all. */
  serialQuestions?: number;
  signal?: AbortSignal;
  onProgress?: (line: string) => void;
}

export interface ProtocolFigures {
  protocol: 'paper-serial' | 'serial' | 'pipelined';
  questions: number;
  spans: number;
  /** Medians, in milliseconds. Hand-off: from the decision to the first large token. */
  handOffMs: number | null;
  /** From the arrival of the last kept large token to the small model's first one. */
  handBackMs: number | null;
  /** Mean per question, in milliseconds. */
  wallClockMs: number;
  /** Per question: what the trace's own decode speeds and one round trip per span add up to. */
  idealMs: number;
  /** wallClockMs / idealMs. */
  overIdeal: number;
  discardedTokens: number;
  probeTokens: number;
  warmUpRequests: number;
  offloadRatio: number;
}

export interface RelayBench {
  schema: 'baton.bench.relay/1';
  small: { id: string; location: string };
  large: { id: string; location: string };
  questions: number;
  latencies: { latencyMs: number; protocols: ProtocolFigures[] }[];
  contextHandOff: ContextHandOff[];
  /** One-pass decisions against exhaustive probing. */
  handBackAgreement: { spans: number; equal: number; share: number | null };
  notes: string[];
}

/** Runs everything; minutes with real models. */
export async function benchRelay(options: BenchRelayOptions): Promise<RelayBench> {
  const { small, large, questions, signal, onProgress } = options;
  const latencies = options.latenciesMs ?? [20, 80, 200];
  const endpoint = await serveModel(large);
  const result: RelayBench = {
    schema: 'baton.bench.relay/1',
    small: { id: small.id, location: small.location },
    large: { id: large.id, location: large.location },
    questions: questions.length,
    latencies: [],
    contextHandOff: [],
    handBackAgreement: { spans: 0, equal: 0, share: null },
    notes: [
      'both models share this machine, so what overlaps also competes',
      'paper-serial probes run one after another here; the original batches them',
      'ideal: decode time of the kept tokens and the small prompt, plus one round trip per span',
    ],
  };
  try {
    const run = async (question: string, extra: Partial<SolveOptions>): Promise<Trace> => {
      signal?.throwIfAborted();
      const remote = new OpenAICompletionsModel({ url: endpoint.url, model: large.id });
      return solveToTrace(question, { small, large: remote, ...extra, ...(signal ? { signal } : {}) });
    };
    // Once, unmeasured: first runs pay for lazy compilation.
    await run(questions[0]!, {});
    let pipelined: Trace[] = [];
    for (const latencyMs of latencies) {
      endpoint.setLatency(latencyMs);
      const figures: ProtocolFigures[] = [];
      const measure = async (
        protocol: ProtocolFigures['protocol'],
        extra: Partial<SolveOptions>,
        count: number,
      ): Promise<Trace[]> => {
        const traces: Trace[] = [];
        for (const question of questions.slice(0, count)) traces.push(await run(question, extra));
        figures.push(summarise(protocol, traces, latencyMs));
        onProgress?.(
          `${latencyMs} ms, ${protocol}: ${Math.round(figures.at(-1)!.wallClockMs)} ms per question`,
        );
        return traces;
      };
      const serialCount = options.serialQuestions ?? questions.length;
      await measure(
        'paper-serial',
        { policy: paperSerial(), keepWarm: false, earlyRequest: false },
        serialCount,
      );
      await measure('serial', { keepWarm: false, earlyRequest: false, overlap: false }, questions.length);
      pipelined = await measure('pipelined', { keepWarm: true }, questions.length);
      result.latencies.push({ latencyMs, protocols: figures });
      if ((options.contextTokens ?? 1000) > 0)
        result.contextHandOff.push(
          await contextHandOff(endpoint.url, large, options.contextTokens ?? 1000, latencyMs),
        );
    }
    result.handBackAgreement = await agreement(pipelined, small, large);
    return result;
  } finally {
    await endpoint.close();
  }
}

async function agreement(
  traces: readonly Trace[],
  small: TextModel,
  large: TextModel,
): Promise<RelayBench['handBackAgreement']> {
  let spans = 0;
  let equal = 0;
  for (const trace of traces) {
    const found = await compareWithExhaustive(trace, small, TAGS, (before, span) =>
      tokenEnds(large, before, span),
    );
    spans += found.length;
    equal += found.filter(({ agrees }) => agrees).length;
  }
  return { spans, equal, share: spans === 0 ? null : equal / spans };
}

function summarise(
  protocol: ProtocolFigures['protocol'],
  traces: readonly Trace[],
  latencyMs: number,
): ProtocolFigures {
  const spans = traces.flatMap((trace) =>
    trace.segments.flatMap((segment, i) =>
      segment.origin === 'large' ? [{ segment, next: trace.segments[i + 1] }] : [],
    ),
  );
  const handOff = spans.flatMap(({ segment }) =>
    segment.firstTokenMs === null ? [] : [segment.firstTokenMs - segment.startMs],
  );
  const handBack = spans.flatMap(({ segment, next }) =>
    next?.firstTokenMs === undefined || next.firstTokenMs === null || segment.lastTokenMs === undefined
      ? []
      : [next.firstTokenMs - segment.lastTokenMs],
  );
  const wallClockMs = mean(traces.map((trace) => trace.totals.elapsedMs));
  const idealMs = mean(traces.map((trace) => idealOf(trace, latencyMs)));
  const total = (pick: (trace: Trace) => number): number =>
    traces.reduce((sum, trace) => sum + pick(trace), 0);
  const large = total((t) => t.totals.largeTokens);
  const all = large + total((t) => t.totals.smallTokens);
  return {
    protocol,
    questions: traces.length,
    spans: spans.length,
    handOffMs: median(handOff),
    handBackMs: median(handBack),
    wallClockMs,
    idealMs,
    overIdeal: wallClockMs / idealMs,
    discardedTokens: total((t) => t.totals.discardedTokens),
    probeTokens: total((t) => t.totals.probeTokens ?? 0),
    warmUpRequests: total((t) => t.totals.warmUp?.requests ?? 0),
    offloadRatio: all === 0 ? 0 : large / all,
  };
}

/** The trace's own decode times without anything between them, and one round trip per span. */
function idealOf(trace: Trace, latencyMs: number): number {
  let ms = 0;
  for (const [i, segment] of trace.segments.entries()) {
    if (segment.firstTokenMs === null) continue;
    const end = segment.lastTokenMs ?? segment.endMs;
    ms += Math.max(0, end - segment.firstTokenMs);
    if (i === 0) ms += segment.firstTokenMs - segment.startMs;
    else if (segment.origin === 'large') ms += latencyMs;
  }
  return ms;
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? Number.NaN : values.reduce((a, b) => a + b, 0) / values.length;
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length / 2;
  return sorted.length % 2 === 1 ? sorted[Math.floor(half)]! : (sorted[half - 1]! + sorted[half]!) / 2;
}
