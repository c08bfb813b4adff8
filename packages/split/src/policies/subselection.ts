// SplitReason's log-probability subselection: the small model writes several continuations, the large one writes a few
// tokens behind each, and those whose large tokens it was surest of survive. (The original keeps the least sure ones by a
// sorting mistake; this one keeps the surest.)

import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import { LargeStream } from '../relay/large-stream.ts';
import type { Relay } from '../relay/relay.ts';
import { isFull } from '../relay/take-over.ts';
import { isAbort } from '../split-error.ts';
import type { TraceStopReason } from '../trace.ts';
import { finishAlone } from './alone.ts';
import type { Policy } from './policy.ts';

interface Piece {
  text: string;
  tokens: number;
  /** What the small model wrote, or where the large one's text came from. */
  from: Draft | LargeStream;
}

interface Candidate {
  pieces: Piece[];
  done: boolean;
  /** The small model has no room to go on with it. */
  full: boolean;
  score: number;
}

const textOf = (candidate: Candidate): string => candidate.pieces.map((piece) => piece.text).join('');

export interface SubselectionOptions {
  /** Continuations in each round. */
  candidates?: number;
  smallTokens?: number;
  largeTokens?: number;
  maxRounds?: number;
}

export function subselection(options: SubselectionOptions = {}): Policy {
  const { candidates = 4, smallTokens = 16, largeTokens = 4, maxRounds = 64 } = options;
  return {
    name: `subselect:${candidates}`,
    needs: { small: true, large: true },
    mostSpans: Infinity,
    async run(relay: Relay): Promise<TraceStopReason> {
      let pool: Candidate[] = [{ pieces: [], done: false, full: false, score: 0 }];
      try {
        for (let round = 0; round < maxRounds; round++) {
          // Survivors are doubled until there are enough again; each copy draws with its own seed.
          for (let i = 0; pool.length < candidates; i++)
            pool.push({ ...pool[i]!, pieces: [...pool[i]!.pieces] });
          for (const one of pool) if (!one.done) await extend(relay, one, smallTokens, largeTokens);
          pool.sort((a, b) => b.score - a.score);
          const thinking = pool.filter((one) => !one.done && !textOf(one).includes('</think>'));
          if (thinking.length < pool.length / 3 || relay.largeFailed !== null || full(relay, pool)) break;
          pool = pool.slice(0, Math.ceil(pool.length / 2));
        }
      } catch (error) {
        if (!isAbort(error)) return relay.smallFailed(error);
      }
      const winner = pool[0]!;
      keep(relay, winner);
      if (relay.parts.signal.aborted) {
        if (!relay.ledger.current) relay.ledger.begin('small');
        relay.ledger.end(relay.stopReason());
        return relay.stopReason();
      }
      if (winner.done) {
        const reason = winner.full ? 'context' : 'end';
        relay.ledger.end(reason);
        return reason;
      }
      return finishAlone(relay);
    },
  };
}

const tokensIn = (candidate: Candidate): number => candidate.pieces.reduce((sum, p) => sum + p.tokens, 0);

const full = (relay: Relay, pool: readonly Candidate[]): boolean =>
  Math.max(...pool.map(tokensIn)) >= relay.tokensLeft;

/** Tokens are nobody's as long as nobody knows which candidate wins: they are counted as overhead, and taken out again. */
async function extend(relay: Relay, one: Candidate, smallTokens: number, largeTokens: number): Promise<void> {
  const { overhead, large, parts } = relay;
  const room = relay.tokensLeft - tokensIn(one);
  if (room < 1) return;
  const prefix = relay.smallText + textOf(one);
  let draft: Draft;
  try {
    draft = await writeDraft(relay, prefix, { maxTokens: Math.min(smallTokens, room) });
  } catch (error) {
    if (!isFull(error)) throw error;
    one.full = one.done = true;
    return;
  }
  one.pieces.push({ text: draft.text, tokens: draft.tokens, from: draft });
  overhead.smallTokens += draft.tokens;
  one.full = draft.end === 'context';
  if (draft.end === 'stop' || one.full) one.done = true;
  if (one.done || !relay.largeUsable) return;
  const answer = relay.admission({ ...countOf(one), answer: relay.answer + textOf(one), shortest: 1 });
  const most = Math.min(
    largeTokens,
    relay.tokensLeft - tokensIn(one),
    answer.admitted ? answer.maxTokens : 0,
  );
  if (most < 1) return;
  const text = relay.answer + textOf(one);
  const stream = large.stream(text, most, 'hand-off');
  const abort = (): void => stream.abort();
  parts.signal.addEventListener('abort', abort, { once: true });
  if (parts.signal.aborted) abort();
  await stream.finished;
  parts.signal.removeEventListener('abort', abort);
  for (const note of stream.notes) relay.ledger.note(note);
  large.payFor(stream, text);
  overhead.requests++;
  overhead.largeTokens += stream.tokens;
  // An endpoint that does not keep to the limit is cut off at it.
  const kept = stream.tokens > most ? stream.text.slice(0, stream.lengthAt(most)) : stream.text;
  one.pieces.push({ text: kept, tokens: Math.min(most, stream.tokens), from: stream });
  if (stream.ended === 'error') return relay.failLarge(stream.error);
  if (Number.isFinite(stream.meanLogprob)) one.score = stream.meanLogprob;
  if (stream.ended === 'end') one.done = true;
}

/** What a candidate would add to the book. */
function countOf(one: Candidate): { smallTokens: number; largeTokens: number; spans: number } {
  const counts = { smallTokens: 0, largeTokens: 0, spans: 0 };
  for (const { tokens, from } of one.pieces) {
    if (from instanceof LargeStream) {
      counts.largeTokens += tokens;
      counts.spans++;
    } else counts.smallTokens += tokens;
  }
  return counts;
}

function keep(relay: Relay, winner: Candidate): void {
  const { ledger, overhead } = relay;
  for (const { text, tokens, from } of winner.pieces) {
    if (from instanceof LargeStream) {
      ledger.end('hand-off');
      overhead.largeTokens -= tokens;
      ledger.begin('large', from.sentMs);
      relay.append(text, tokens, from.firstMs ?? from.sentMs);
      ledger.end(from.ended === 'error' ? 'endpoint-error' : 'hand-back', {
        lastTokenMs: from.arrivedMs(text.length),
        ...(from.endpoint === null ? {} : { model: from.endpoint }),
      });
    } else {
      overhead.smallTokens -= tokens;
      acceptDraft(relay, text, tokens, from);
    }
  }
}
