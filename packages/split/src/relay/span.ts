// One offload span: the large model writes, the small model reads along and decides when to take over. Reading overlaps
// with the stream, so at the deciding token the small model has already read everything before it.

import type { WatchedPosition } from '@baton/runtime/text-model';

import { EndpointError, isAbort, messageOf } from '../split-error.ts';
import { CLOSED_ITSELF } from '../trace.ts';
import type { SegmentReason, TracePiece } from '../trace.ts';
import { findHandBack, withoutEnd } from './hand-back.ts';
import type { HandBackDecision, HandBackRule } from './hand-back.ts';
import type { LargeStream } from './large-stream.ts';
import type { Relay } from './relay.ts';
import { FULL, isFull } from './take-over.ts';

export interface SpanOptions {
  rule: HandBackRule;
  maxTokens: number;
  /** What the small model reads before and behind the span; nothing where it knows no tags. */
  markers: { open: string; close: string };
  /** A request that is under way already. */
  stream?: LargeStream | null;
  /** The large model's own end ends the answer, finished or not. */
  endIsFinal?: boolean;
  /** The small model does not read it: it has no room. */
  unread?: boolean;
}

export type SpanResult =
  /** The small model goes on. `empty`: nothing was written. */
  | { kind: 'hand-back'; empty: boolean }
  /** The large model finished the answer. */
  | { kind: 'final' }
  | { kind: 'large-failed'; error: unknown }
  | { kind: 'small-failed'; error: unknown };

interface Progress {
  /** Characters of the span that are part of the answer. */
  confirmed: number;
  decision: HandBackDecision | null;
  smallError: unknown;
  /** The small model reads no further: it was told not to, or has no more room. */
  unread: boolean;
  /** The newest positions that were read: what follows them may complete a token that holds the tag's beginning. */
  recent: WatchedPosition[];
}

export async function runSpan(relay: Relay, options: SpanOptions): Promise<SpanResult> {
  const { large, ledger, parts } = relay;
  const startMs = parts.now();
  const answer = relay.answer;
  const stream = options.stream ?? large.stream(answer, options.maxTokens, 'hand-off');
  if (options.rule.kind === 'end') stream.endsAtTag = false;
  parts.keepWarm?.makeWay();
  ledger.begin('large', startMs);
  relay.smallText += options.markers.open;
  const onAbort = (): void => stream.abort();
  parts.signal.addEventListener('abort', onAbort, { once: true });
  if (parts.signal.aborted) onAbort();
  const progress: Progress = {
    confirmed: 0,
    decision: null,
    smallError: null,
    unread: options.unread ?? false,
    recent: [],
  };
  try {
    if (!parts.overlap) await stream.finished;
    await follow(relay, stream, options, progress);
  } finally {
    parts.signal.removeEventListener('abort', onAbort);
    stream.abort();
  }
  return settle(relay, stream, options, progress, answer);
}

/** Confirms text as it arrives until the rule, a limit or the end of the stream says stop. */
async function follow(
  relay: Relay,
  stream: LargeStream,
  options: SpanOptions,
  progress: Progress,
): Promise<void> {
  const base = relay.smallText;
  const { rule } = options;
  const controlled = rule.kind === 'controlling-prefill';
  if (controlled) await readOpenTag(relay, base, options.markers.open, progress);
  while (progress.smallError === null) {
    await stream.more(progress.confirmed);
    const whole = stream.text;
    const limit = limitOf(rule, stream, whole, options.maxTokens);
    const text = whole.slice(0, limit ?? whole.length);
    if (text.length > progress.confirmed) {
      try {
        if (relay.parts.small && !progress.unread) await read(relay, stream, base, text, options, progress);
      } catch (error) {
        // Whatever was read in vain is still the large model's text, and is kept.
        if (!isAbort(error)) unreadable(relay, error, progress);
      }
      const upTo = progress.decision?.length ?? text.length;
      confirm(relay, stream, text.slice(0, upTo), progress);
      if (progress.decision || progress.smallError !== null) return;
    }
    if (limit !== null && progress.confirmed >= limit) {
      if (rule.kind !== 'controlling-prefill') progress.decision = { length: limit };
      return;
    }
    if (stream.ended !== null && stream.text.length <= progress.confirmed) return;
  }
}

/**
 * A one-token span such as "." can share its token with the tag (".<"), and with the open tag's end (">.<"); then what the model
 * says behind the open tag, or inside of it, counts. Read while the large model's first token is on its way; a tag of one token has no such neighbours.
 */
async function readOpenTag(relay: Relay, base: string, tag: string, progress: Progress): Promise<void> {
  const { small, parts } = relay;
  if (small.close.single !== null || tag === '') return;
  try {
    await small.sync(base.slice(0, -tag.length), undefined, parts.signal);
    const { watched } = await small.sync(base, small.close.first, parts.signal);
    progress.recent = [...watched];
  } catch (error) {
    if (!isAbort(error)) unreadable(relay, error, progress);
  }
}

/** A small model that has no more room cannot take over again, so the stream need not stop for it; any other failure stops it. */
function unreadable(relay: Relay, error: unknown, progress: Progress): void {
  if (!isFull(error)) {
    progress.smallError = error;
    return;
  }
  progress.unread = true;
  relay.ledger.note(`${FULL}: it does not read on`);
}

/** The small model reads the span up to here; by its own rule it also decides. */
async function read(
  relay: Relay,
  stream: LargeStream,
  base: string,
  text: string,
  { rule, markers }: SpanOptions,
  progress: Progress,
): Promise<void> {
  const { small, parts } = relay;
  const { signal } = parts;
  if (rule.kind !== 'controlling-prefill') return void (await small.sync(base + text, undefined, signal));
  const { threshold } = rule;
  // Most spans end where the newest text does. With the tag read in the same pass the small model goes on without another.
  const { watched } = await small.sync(base + text, small.close.first, signal, markers.close);
  const { confirmed } = progress;
  const rows = [...progress.recent, ...watched];
  // Where the large model's tokens end inside one of the small model's, the baton can change hands as well: what the
  // small model says there is read on its own.
  const seen = new Set(rows.map((row) => row.textLength - base.length));
  const between = stream.ends(confirmed, text.length).filter((end) => !seen.has(end));
  for (const end of between) rows.push(...(await readEnd(relay, base + text.slice(0, end))));
  for (const at of await hiddenSeams(relay, rows, base, text, stream.ends(confirmed, text.length)))
    rows.push(...(await readEnd(relay, base + text.slice(0, at))));
  const longest = Math.max(0, ...small.close.leads.map((lead) => lead.length));
  const reach = base.length + text.length - longest;
  progress.recent = rows.filter((row) => row.textLength >= reach);
  progress.decision = await findHandBack(small, rows, base, text, confirmed, threshold, signal);
}

/** What the small model says at the end of `text`. */
async function readEnd(relay: Relay, text: string): Promise<readonly WatchedPosition[]> {
  const { small, parts } = relay;
  const { watched } = await small.sync(text, small.close.first, parts.signal);
  if (watched.length > 0) return watched.slice(-1);
  // The cache held all of it: a little is read again.
  await small.sync(withoutEnd(text), undefined, parts.signal);
  return (await small.sync(text, small.close.first, parts.signal)).watched.slice(-1);
}

/**
 * Places that were not read because the text that came holds them inside a token, where the text's end and the tag would be cut
 * otherwise: "</" is one token, "</</bigmodel>" may begin with "<" and "/<". Characters of the span.
 */
async function hiddenSeams(
  relay: Relay,
  rows: readonly WatchedPosition[],
  base: string,
  text: string,
  ends: readonly number[],
): Promise<number[]> {
  const { close } = relay.small;
  if (close.single !== null) return [];
  const seen = new Set(rows.map((row) => row.textLength - base.length));
  const leads = [...new Set(close.leads)].filter((lead) => lead !== '');
  const hidden = new Set<number>();
  for (const end of [...ends, text.length]) {
    const before = text.slice(0, end);
    for (const lead of leads) {
      const at = end - lead.length;
      if (at < 0 || seen.has(at) || hidden.has(at) || !before.endsWith(lead)) continue;
      if (await relay.small.cutsAt(base + text.slice(0, at), lead + close.text)) hidden.add(at);
    }
  }
  return [...hidden];
}

/** Each chunk is a piece of its own: a trace that is played back breaks where the stream did. */
function confirm(relay: Relay, stream: LargeStream, text: string, progress: Progress): void {
  for (const end of [...stream.ends(progress.confirmed, text.length), text.length]) {
    const from = progress.confirmed;
    if (end <= from) continue;
    const tokens = stream.tokensUpTo(end) - stream.tokensUpTo(from);
    relay.append(text.slice(from, end), tokens, Math.min(stream.arrivedMs(from + 1), relay.parts.now()));
    progress.confirmed = end;
  }
}

/** Characters after which the span must end by the rule or the token limit; null while neither is reached. */
function limitOf(rule: HandBackRule, stream: LargeStream, text: string, maxTokens: number): number | null {
  const most = rule.kind === 'tokens' ? Math.min(rule.tokens, maxTokens) : maxTokens;
  const byTokens = stream.tokens > most ? stream.lengthAt(most) : null;
  if (rule.kind !== 'after') return byTokens;
  const ends = rule.ends.flatMap((mark) => {
    const at = text.indexOf(mark);
    return at < 0 ? [] : [at + mark.length];
  });
  const byText = ends.length > 0 ? Math.min(...ends) : null;
  return byTokens === null ? byText : Math.min(byTokens, byText ?? byTokens);
}

/** Closes the books of the span and says who goes on. */
function settle(
  relay: Relay,
  stream: LargeStream,
  options: SpanOptions,
  progress: Progress,
  answer: string,
): SpanResult {
  const { ledger, large, parts } = relay;
  const span = ledger.current!;
  for (const note of stream.notes) ledger.note(note);
  // Tokens that made no text of their own (half a character, an empty piece) go with the text they belong to.
  const whole = progress.decision === null && progress.confirmed >= stream.text.length;
  if (whole && stream.ended !== 'error') ledger.add('', stream.tokens - span.tokens);
  const { usage, exact } = large.usageOf(stream, answer);
  const uncounted = stream.countsPieces ? Math.max(0, usage.completionTokens - stream.tokens) : 0;
  const share = stream.text.length === 0 ? 0 : progress.confirmed / stream.text.length;
  // Hidden thoughts are among the usage of some; what is kept is never more than the span was granted.
  const granted = Math.max(0, options.maxTokens - span.tokens);
  const keptMore = Math.min(Math.round(uncounted * share), granted);
  ledger.add('', keptMore);
  const arrived = stream.tokens + uncounted;
  const cost = large.costOf(usage);
  if (cost !== undefined && cost > 0 && !exact) ledger.note(ESTIMATED);
  const { reason, detail, result } = outcome(relay, stream, options, progress);
  ledger.end(reason, {
    discardedTokens: Math.max(0, arrived - span.tokens),
    ...(progress.confirmed > 0 ? { lastTokenMs: stream.arrivedMs(progress.confirmed) } : {}),
    ...(stream.text.length > progress.confirmed
      ? { discardedText: stream.text.slice(progress.confirmed) }
      : {}),
    ...(arrived > span.tokens
      ? {
          discardedPieces: [
            ...stream.piecesFrom(progress.confirmed, span.tokens - keptMore),
            ...piecesOf(parts.now(), uncounted - keptMore),
          ],
        }
      : {}),
    ...(exact ? { promptTokens: usage.promptTokens } : {}),
    ...(usage.cachedTokens === undefined ? {} : { cachedTokens: usage.cachedTokens }),
    ...(cost === undefined ? {} : { cost }),
    ...(progress.decision?.logprob === undefined ? {} : { decisionLogprob: progress.decision.logprob }),
    ...(detail === undefined ? {} : { detail }),
    ...(reason === 'endpoint-error' ? refusalOf(stream.error) : {}),
    ...(stream.endpoint === null ? {} : { model: stream.endpoint }),
  });
  relay.smallText += options.markers.close;
  parts.keepWarm?.seen(relay.answer);
  return result;
}

/** What whoever asked for the run is told of a refusal: when to ask again. */
function refusalOf(error: unknown): { refused?: { status: number; retryAfterMs?: number } } {
  if (!(error instanceof EndpointError) || error.status === undefined) return {};
  const { status, retryAfterMs } = error;
  return { refused: { status, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) } };
}

/** Tokens that only the usage tells of. */
function piecesOf(atMs: number, tokens: number): TracePiece[] {
  return tokens > 0 ? [[atMs, tokens, 0]] : [];
}

/** Note of a run whose money is partly reckoned. */
export const ESTIMATED = 'some prices are estimated: a request was stopped before its usage came';

function outcome(
  relay: Relay,
  stream: LargeStream,
  options: SpanOptions,
  progress: Progress,
): { reason: SegmentReason; detail?: string; result: SpanResult } {
  const back: SpanResult = { kind: 'hand-back', empty: progress.confirmed === 0 };
  if (relay.parts.signal.aborted) {
    const reason = relay.stopReason();
    return { reason, result: { kind: 'small-failed', error: new DOMException('stopped', 'AbortError') } };
  }
  if (progress.smallError !== null) {
    return {
      reason: 'small-error',
      detail: messageOf(progress.smallError),
      result: { kind: 'small-failed', error: progress.smallError },
    };
  }
  if (progress.decision) return { reason: 'hand-back', result: back };
  if (stream.ended === 'error') {
    const detail = messageOf(stream.error);
    return { reason: 'endpoint-error', detail, result: { kind: 'large-failed', error: stream.error } };
  }
  if (stream.ended === 'tag') return { reason: 'hand-back', detail: CLOSED_ITSELF, result: back };
  const silent = stream.ended === 'end' && stream.text === '';
  if (silent && options.rule.kind === 'end' && !progress.unread) {
    const error = new EndpointError('malformed', `${writer(relay, stream)}: the answer is empty`);
    return {
      reason: 'endpoint-error',
      detail: error.message,
      result: { kind: 'large-failed', error },
    };
  }
  if (stream.ended === 'end') {
    const final =
      options.rule.kind === 'end' || options.endIsFinal === true || progress.unread || relay.isFinal;
    if (silent && !final) relay.ledger.note(`${writer(relay, stream)}: it wrote nothing when it was asked`);
    // With a token rule or stop strings an end inside the limit is only the end of the piece.
    return { reason: final ? 'end' : 'hand-back', result: final ? { kind: 'final' } : back };
  }
  return { reason: 'span-limit', result: back };
}

/** Whose text it is, for a message. */
function writer(relay: Relay, stream: LargeStream): string {
  const { id, location } = relay.large.model;
  return `${id} at ${stream.endpoint ?? location}`;
}
