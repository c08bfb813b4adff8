// SplitReason's log-probability subselection: the small model writes several continuations, the large one writes a few
// tokens behind each, and those whose large tokens it was surest of survive. (The original keeps the least sure ones by a
// sorting mistake; this one keeps the surest.)

import { acceptDraft, writeDraft } from '../relay/draft.ts';
import type { Draft } from '../relay/draft.ts';
import type { Relay } from '../relay/relay.ts';
import { isAbort } from '../split-error.ts';
import type { TraceStopReason } from '../trace.ts';
import { finishAlone } from './alone.ts';
import type { Policy } from './policy.ts';

interface Piece {
  text: string;
  tokens: number;
  origin: 'small' | 'large';
  draft: Draft | null;
}

interface Candidate {
  pieces: Piece[];
  done: boolean;
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
    async run(relay: Relay): Promise<TraceStopReason> {
      let pool: Candidate[] = [{ pieces: [], done: false, score: 0 }];
      try {
        for (let round = 0; round < maxRounds; round++) {
          // Survivors are doubled until there are enough again; each copy draws with its own seed.
          for (let i = 0; pool.length < candidates; i++)
            pool.push({ ...pool[i]!, pieces: [...pool[i]!.pieces] });
          for (const one of pool) if (!one.done) await extend(relay, one, smallTokens, largeTokens);
          pool.sort((a, b) => b.score - a.score);
          const thinking = pool.filter((one) => !one.done && !textOf(one).includes('</think>'));
          if (thinking.length < pool.length / 3 || relay.largeFailed !== null || full(relay, pool)) break;
          const survivors = Math.ceil(pool.length / 2);
          for (const lost of pool.slice(survivors)) countLost(relay, lost);
          pool = pool.slice(0, survivors);
        }
      } catch (error) {
        if (!isAbort(error)) return relay.smallFailed(error);
      }
      const [winner, ...others] = pool;
      for (const lost of others) countLost(relay, lost);
      keep(relay, winner!);
      if (relay.parts.signal.aborted) {
        if (!relay.ledger.current) relay.ledger.begin('small');
        relay.ledger.end(relay.stopReason());
        return relay.stopReason();
      }
      if (winner!.done) {
        relay.ledger.end('end');
        return 'end';
      }
      return finishAlone(relay);
    },
  };
}

const full = (relay: Relay, pool: readonly Candidate[]): boolean =>
  Math.max(...pool.map((one) => one.pieces.reduce((n, p) => n + p.tokens, 0))) >= relay.tokensLeft;

async function extend(relay: Relay, one: Candidate, smallTokens: number, largeTokens: number): Promise<void> {
  const draft = await writeDraft(relay, relay.smallText + textOf(one), { maxTokens: smallTokens });
  one.pieces.push({ text: draft.text, tokens: draft.tokens, origin: 'small', draft });
  if (draft.end === 'stop' || draft.end === 'context') one.done = true;
  if (one.done || relay.largeFailed !== null || !relay.admission().admitted) return;
  const { large } = relay;
  const stream = large.stream(relay.answer + textOf(one), largeTokens, 'hand-off');
  const abort = (): void => stream.abort();
  relay.parts.signal.addEventListener('abort', abort, { once: true });
  await stream.finished;
  relay.parts.signal.removeEventListener('abort', abort);
  const { usage } = large.usageOf(stream, relay.answer + textOf(one));
  large.otherCost += large.costOf(usage) ?? 0;
  relay.overhead.requests++;
  if (stream.ended === 'error') return relay.failLarge(stream.error);
  one.pieces.push({ text: stream.text, tokens: stream.tokens, origin: 'large', draft: null });
  if (Number.isFinite(stream.meanLogprob)) one.score = stream.meanLogprob;
  if (stream.ended === 'end') one.done = true;
}

function countLost(relay: Relay, lost: Candidate): void {
  for (const piece of lost.pieces) {
    if (piece.origin === 'small') relay.overhead.smallTokens += piece.tokens;
    else relay.overhead.largeTokens += piece.tokens;
  }
}

function keep(relay: Relay, winner: Candidate): void {
  for (const piece of winner.pieces) {
    if (piece.origin === 'small') acceptDraft(relay, piece.text, piece.tokens, piece.draft!);
    else {
      relay.ledger.end('hand-off');
      relay.ledger.begin('large');
      relay.append(piece.text, piece.tokens);
      relay.ledger.end('hand-back');
    }
  }
}
