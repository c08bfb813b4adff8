// How soon the first large token comes at a long context, with streaming prefill and with a serial one. The small model reads
// a given text one token at a time, which takes it as long as writing it would; then it hands off.

import type { TextModel } from '@baton/runtime/text-model';

import type { Policy } from '../policies/policy.ts';
import { solveToTrace } from '../solve.ts';
import type { SolveOptions } from '../solve.ts';
import { NO_MARKERS } from '../text/tags.ts';
import { tokenEnds } from './exhaustive.ts';
import { median } from './middle.ts';

export interface ContextHandOff {
  small: string;
  large: string;
  latencyMs: number;
  /** The large model's prompt tokens at the hand-off, as its endpoint counts them. */
  contextTokens: number;
  /** Medians over rounds, in milliseconds: from the decision to hand off to the first large token. */
  serialMs: number;
  pipelinedMs: number;
  /** The same with keep-warm requests, as where an endpoint reads no prompt before it is whole. */
  keepWarmMs: number;
  /**
   * The same where the endpoint's cache holds all of the text: the round trip and one pass, which no streaming prefill can beat.
   * Absent in figures from before it was measured.
   */
  cachedMs?: number;
  /** serialMs / pipelinedMs. */
  sooner: number;
  /** serialMs / cachedMs: how much sooner it could be. */
  ceiling?: number;
  /** The same without the round trip, which no protocol avoids. */
  soonerWithoutRoundTrip: number;
  /** Tokens of the prompt that the endpoint's cache held. */
  cachedSerial: number | null;
  cachedPipelined: number | null;
  warmUpRequests: number;
  /** One token of the small model, in milliseconds. */
  smallTokenMs: number;
  /** From the arrival of the last large token to the small model having read it, pipelined. */
  readMs: number;
  /**
   * Small-model tokens in that piece of text: more than one where a large token is not one of the small model's, or joins the
   * text before it. Absent in figures from before it was counted.
   */
  readTokens?: number;
}

export interface ContextOptions {
  small: TextModel;
  large: TextModel;
  /** What the small model "writes" before it hands off. */
  text: string;
  latencyMs: number;
  rounds?: number;
  signal?: AbortSignal | undefined;
}

export async function contextHandOff(options: ContextOptions): Promise<ContextHandOff> {
  const { small, large, latencyMs, rounds = 2, signal } = options;
  const ends = await tokenEnds(small, 'Q: ', options.text);
  const measured = {
    serial: [] as Round[],
    'keep-warm': [] as Round[],
    pipelined: [] as Round[],
    cached: [] as Round[],
  };
  for (let round = 0; round < rounds; round++) {
    for (const protocol of ['serial', 'keep-warm', 'pipelined', 'cached'] as const) {
      // A different first line each time, so that no earlier run's cache helps this one; or the same, so that it does.
      const question = `${protocol === 'cached' ? 'pipelined' : protocol} ${round} ${latencyMs}`;
      const how: Partial<SolveOptions> = {
        keepWarm: protocol === 'pipelined' || protocol === 'keep-warm',
        streamPrompts: protocol === 'pipelined',
      };
      measured[protocol].push(
        await oneRound(question, small, large, { ...how, ...(signal ? { signal } : {}) }, options.text, ends),
      );
    }
  }
  const middle = (list: readonly Round[], pick: (round: Round) => number | null): number | null =>
    median(list.map(pick).filter((value) => value !== null));
  const serialMs = middle(measured.serial, (r) => r.handOffMs)!;
  const pipelinedMs = middle(measured.pipelined, (r) => r.handOffMs)!;
  const cachedMs = middle(measured.cached, (r) => r.handOffMs)!;
  return {
    small: small.id,
    large: large.id,
    latencyMs,
    contextTokens: middle(measured.pipelined, (r) => r.contextTokens)!,
    serialMs,
    pipelinedMs,
    keepWarmMs: middle(measured['keep-warm'], (r) => r.handOffMs)!,
    cachedMs,
    sooner: serialMs / pipelinedMs,
    ceiling: serialMs / cachedMs,
    soonerWithoutRoundTrip: (serialMs - latencyMs) / Math.max(0.1, pipelinedMs - latencyMs),
    cachedSerial: middle(measured.serial, (r) => r.cachedTokens),
    cachedPipelined: middle(measured.pipelined, (r) => r.cachedTokens),
    warmUpRequests: middle(measured.pipelined, (r) => r.warmUpRequests)!,
    smallTokenMs: middle(measured.pipelined, (r) => r.smallTokenMs)!,
    readMs: middle(measured.pipelined, (r) => r.readMs)!,
    readTokens: middle(measured.pipelined, (r) => r.readTokens)!,
  };
}

interface Round {
  handOffMs: number;
  contextTokens: number;
  cachedTokens: number | null;
  warmUpRequests: number;
  smallTokenMs: number;
  readMs: number;
  readTokens: number;
}

async function oneRound(
  question: string,
  small: TextModel,
  large: TextModel,
  how: Partial<SolveOptions>,
  text: string,
  ends: readonly number[],
): Promise<Round> {
  let readTokens = 0;
  const trace = await solveToTrace(question, {
    small,
    large,
    ...how,
    // Without streaming prefill nothing depends on how long the small model took.
    policy: dictated(text, how.keepWarm === true ? ends : [text.length], (tokens) => (readTokens = tokens)),
    renderLarge: (asked) => `Q: ${asked}\n`,
  });
  const [written, span] = trace.segments;
  if (!written || span?.origin !== 'large' || span.firstTokenMs === null)
    throw new Error(`the hand-off was not measured: ${trace.notes.at(-1) ?? 'no large token came'}`);
  return {
    handOffMs: span.firstTokenMs - span.startMs,
    contextTokens: span.promptTokens ?? 0,
    cachedTokens: span.cachedTokens ?? null,
    warmUpRequests: trace.totals.warmUp?.requests ?? 0,
    smallTokenMs: (written.endMs - written.firstTokenMs!) / Math.max(1, written.tokens - 1),
    readMs: span.endMs - (span.lastTokenMs ?? span.firstTokenMs),
    readTokens,
  };
}

/**
 * The small model reads `text` token by token, offering it to the keep-warm requests as it does what it writes; then a span.
 * `onRead` is told how many tokens the last piece of that was.
 */
function dictated(text: string, ends: readonly number[], onRead: (tokens: number) => void): Policy {
  return {
    name: 'dictated',
    needs: { small: true, large: true },
    async run(relay) {
      const { small, ledger, parts } = relay;
      ledger.begin('small');
      let from = 0;
      for (const end of ends) {
        // Every position with its probabilities, as when it writes.
        await small.sync(relay.smallText + text.slice(from, end), small.open.first, parts.signal);
        relay.append(text.slice(from, end), 1);
        from = end;
        parts.keepWarm?.offer(relay.answer);
      }
      ledger.end('hand-off');
      const result = await relay.span({
        rule: { kind: 'tokens', tokens: 4 },
        maxTokens: 4,
        markers: NO_MARKERS,
        endIsFinal: true,
      });
      onRead(small.lastSync.tokens - small.lastSync.kept);
      return result.kind === 'final' || result.kind === 'hand-back' ? 'end' : 'error';
    },
  };
}
