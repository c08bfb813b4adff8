// The trace: what one relay run leaves behind. The page draws it, eval scores it, the simulator replays it, so it
// holds every token's owner, time and price. Schema name and field names are a stable contract.

export const TRACE_SCHEMA = 'baton.trace/1';

export type Origin = 'small' | 'large';

/** Why a segment ended. */
export type SegmentReason =
  | 'hand-off' // small wrote the open tag (or its policy asked for the large model)
  | 'hand-back' // small's own logits closed the span
  | 'end' // end of text
  | 'span-limit' // tokens-per-span cap
  | 'length' // total token cap
  | 'context' // the small model's context capacity
  | 'budget' // an offload budget was reached
  | 'rejected' // policy declined the request
  | 'loop' // the model repeated itself without progress
  | 'endpoint-error'
  | 'small-error'
  | 'aborted';

/** A piece of text as it became part of a segment: when (milliseconds since the trace began), tokens, UTF-16 units. */
export type TracePiece = readonly [atMs: number, tokens: number, characters: number];

/** Detail of a span whose end was the large model's own close tag. */
export const CLOSED_ITSELF = 'the large model wrote the close tag itself';

export interface TraceSegment {
  origin: Origin;
  /** Text kept in the answer, without tags. */
  text: string;
  /** Tokens kept, counted by the origin model. */
  tokens: number;
  /** Large tokens that were generated and thrown away after the hand-back position (0 for small). */
  discardedTokens: number;
  discardedText?: string;
  /** `text`, piece by piece; absent in traces from elsewhere. */
  pieces?: TracePiece[];
  /** `discardedText`, piece by piece: when each arrived. */
  discardedPieces?: TracePiece[];
  /** Milliseconds since the trace began. */
  startMs: number;
  firstTokenMs: number | null;
  /** When the last kept token of a large segment arrived. */
  lastTokenMs?: number;
  endMs: number;
  reason: SegmentReason;
  /** One line of detail for errors and rejections. */
  detail?: string;
  /** How the endpoint refused the request, where it did so by an HTTP status. */
  refused?: { status: number; retryAfterMs?: number };
  /** Prompt tokens sent for this segment, and how many the endpoint served from its cache. */
  promptTokens?: number;
  cachedTokens?: number;
  /** Log-probability of the decision that ended the segment, where there was one. */
  decisionLogprob?: number;
  /** Price of this segment's request, discarded tokens included; absent where no prices are configured. */
  cost?: number;
  /** Address of the endpoint that wrote it, or the end of it, where several were configured. */
  model?: string;
}

/** One-token requests that kept the large side's prefix cache warm. Their tokens are in no segment. */
export interface WarmUpTotals {
  requests: number;
  promptTokens: number;
  cachedTokens: number;
  tokens: number;
}

export interface TraceModel {
  id: string;
  location: string;
}

export interface TraceTotals {
  smallTokens: number;
  largeTokens: number;
  discardedTokens: number;
  /** largeTokens / (smallTokens + largeTokens); 0 for an empty trace. */
  offloadRatio: number;
  offloadSpans: number;
  elapsedMs: number;
  /** In the currency of the configured prices; null where no prices are configured. */
  cost: number | null;
  /** The part of `cost` that no segment has: warm-ups, scores, requests that were dropped. Absent where it is 0. */
  otherCost?: number;
  /** Absent where no keep-warm request was sent. */
  warmUp?: WarmUpTotals;
  /** Hand-off requests sent before the tag was complete, and how many of them came to nothing. */
  earlyRequests?: { sent: number; dropped: number };
  /** Tokens the small model decoded only to decide something (0 for controlling prefill), in no segment. */
  probeTokens?: number;
  /** Generated tokens and requests that belong to no segment: scores, drafts, candidates that lost. */
  overhead?: { smallTokens: number; largeTokens: number; requests: number };
}

export type TraceStopReason = 'end' | 'length' | 'context' | 'budget' | 'loop' | 'aborted' | 'error';

export interface Trace {
  schema: typeof TRACE_SCHEMA;
  question: string;
  /** Exact text both models continued from (the small model's rendering). */
  prompt: string;
  segments: TraceSegment[];
  /** Texts of the segments joined, exactly. */
  text: string;
  /** Contents of the last \boxed{}, or null. */
  answer: string | null;
  totals: TraceTotals;
  models: { small: TraceModel; large: TraceModel | null };
  policy: string;
  seed: number | null;
  stopReason: TraceStopReason;
  /** ISO 8601. */
  startedAt: string;
  /** Things a person should know: an endpoint that failed, a target that was lost. */
  notes: string[];
}
