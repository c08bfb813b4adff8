// SplitReason's own protocol, to measure against (facts: abdelfattah-lab/SplitReason at f87cddb, spec_reason mode): the
// large model writes 64 tokens per request; then the small model continues every prefix of them by 8 tokens, and one that
// contains the close tag ends the span. The reversed index of the original is not copied: the earliest vote wins.

import { finishAlone, endSmall } from '../policies/alone.ts';
import type { Policy } from '../policies/policy.ts';
import type { Relay } from '../relay/relay.ts';
import type { TraceStopReason } from '../trace.ts';

export interface PaperOptions {
  chunkTokens?: number;
  probeTokens?: number;
}

export function paperSerial(options: PaperOptions = {}): Policy {
  const { chunkTokens = 64, probeTokens = 8 } = options;
  return {
    name: 'paper-serial',
    needs: { small: true, large: true },
    async run(relay: Relay): Promise<TraceStopReason> {
      for (;;) {
        if (relay.largeFailed !== null) return finishAlone(relay);
        const stop = await relay.write();
        if (stop.kind === 'failed') return relay.smallFailed(stop.error);
        if (stop.kind === 'pause' || stop.kind === 'text' || stop.kind === 'step') continue;
        if (stop.kind !== 'hand-off') return endSmall(relay, stop.kind);
        if (stop.early) relay.dropEarly(stop.early);
        const answer = relay.admission();
        if (!answer.admitted) {
          relay.ledger.end('rejected', { detail: answer.why });
          return finishAlone(relay);
        }
        relay.ledger.end('hand-off');
        const ended = await writeSpan(relay, chunkTokens, probeTokens, answer.maxTokens);
        if (ended !== null) return ended;
      }
    },
  };
}

/** Chunks until a prefix votes; null when the small model goes on. */
async function writeSpan(
  relay: Relay,
  chunkTokens: number,
  probeTokens: number,
  maxTokens: number,
): Promise<TraceStopReason | null> {
  const { ledger, large, parts } = relay;
  const { tags } = parts;
  const before = relay.answer;
  relay.smallText += tags.open;
  const base = relay.smallText;
  ledger.begin('large');
  let text = '';
  let tokens = 0;
  for (;;) {
    const stream = large.stream(before + text, Math.min(chunkTokens, maxTokens - tokens), 'hand-off');
    const abort = (): void => stream.abort();
    parts.signal.addEventListener('abort', abort, { once: true });
    await stream.finished;
    parts.signal.removeEventListener('abort', abort);
    if (parts.signal.aborted) {
      ledger.end('aborted');
      return relay.stopReason();
    }
    const vote = await firstVote(
      relay,
      base + text,
      stream.text,
      probeTokens,
      (n) => stream.lengthAt(n),
      stream.tokens,
    );
    const kept = vote === null ? stream.text : stream.text.slice(0, vote.length);
    const keptTokens = vote === null ? stream.tokens : stream.tokensUpTo(vote.length);
    ledger.add(kept, keptTokens, stream.firstMs ?? undefined);
    text += kept;
    tokens += keptTokens;
    relay.smallText += kept;
    const over = stream.ended === 'error' || stream.ended === 'end' || tokens >= maxTokens;
    if (vote === null && !over) continue;
    const final = vote === null && stream.ended === 'end' && relay.isFinal;
    const failed = stream.ended === 'error';
    ledger.end(failed ? 'endpoint-error' : final ? 'end' : vote === null ? 'span-limit' : 'hand-back', {
      discardedTokens: stream.tokens - keptTokens,
      lastTokenMs: stream.arrivedMs(kept.length),
    });
    if (vote && vote.written !== '') {
      // What the probe wrote in front of the tag stays in the text.
      ledger.begin('small');
      relay.append(vote.written, vote.tokens);
    }
    relay.smallText += tags.close;
    if (failed) relay.failLarge(stream.error);
    return final ? 'end' : null;
  }
}

interface Vote {
  /** Characters of the chunk. */
  length: number;
  /** What the small model wrote between them and the close tag. */
  written: string;
  tokens: number;
}

/** The shortest prefix after which the small model, decoding, writes the close tag. */
async function firstVote(
  relay: Relay,
  base: string,
  chunk: string,
  probeTokens: number,
  lengthAt: (tokens: number) => number,
  tokens: number,
): Promise<Vote | null> {
  let vote: Vote | null = null;
  for (let n = 1; n <= tokens; n++) {
    const length = lengthAt(n);
    const probed = await probe(relay, base + chunk.slice(0, length), probeTokens);
    const at = probed.text.indexOf(relay.parts.tags.close);
    // The original asks for all prefixes in one batch, so none is saved by an early vote.
    if (vote === null && at >= 0) vote = { length, written: probed.text.slice(0, at), tokens: probed.tokens };
  }
  return vote;
}

async function probe(
  relay: Relay,
  text: string,
  probeTokens: number,
): Promise<{ text: string; tokens: number }> {
  const { small, parts } = relay;
  const found = { text: '', tokens: 0 };
  const options = { maxTokens: probeTokens, sampling: parts.sampling, signal: parts.signal };
  for await (const token of small.write(text, options)) {
    found.text += token.text;
    found.tokens += token.count;
  }
  relay.probeTokens += found.tokens;
  return found;
}
