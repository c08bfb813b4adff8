// The trace as far as it has been written: the relay's events folded into one value that the page can draw while the
// run goes on. When the run ends the relay's own trace takes its place.

import type { Origin, SolveEvent, TraceModel, TraceSegment } from '@baton/split';

/** A segment in progress has no end and no reason yet. */
export type LiveSegment = Omit<TraceSegment, 'endMs' | 'reason'> & {
  endMs: number | null;
  reason: TraceSegment['reason'] | null;
};

export interface LiveTrace {
  question: string;
  prompt: string;
  policy: string;
  models: { small: TraceModel; large: TraceModel | null };
  segments: readonly LiveSegment[];
  notes: readonly string[];
}

export const EMPTY: LiveTrace = {
  question: '',
  prompt: '',
  policy: '',
  models: { small: { id: '', location: '' }, large: null },
  segments: [],
  notes: [],
};

export function advance(live: LiveTrace, event: SolveEvent): LiveTrace {
  switch (event.type) {
    case 'start': {
      const { question, prompt, policy, models } = event;
      return { ...live, question, prompt, policy, models };
    }
    case 'segment-start':
      return withSegment(live, event.index, opened(event.origin, event.startMs));
    case 'text': {
      const segment = live.segments[event.index] ?? opened(event.origin, event.atMs);
      return withSegment(live, event.index, {
        ...segment,
        text: segment.text + event.text,
        tokens: segment.tokens + event.tokens,
        firstTokenMs: segment.firstTokenMs ?? event.atMs,
      });
    }
    case 'segment-end':
      return withSegment(live, event.index, event.segment);
    case 'note':
      return { ...live, notes: [...live.notes, event.note] };
    case 'end': {
      const { question, prompt, policy, models, segments, notes } = event.trace;
      return { question, prompt, policy, models, segments, notes };
    }
    case 'request':
      return live;
  }
}

function opened(origin: Origin, startMs: number): LiveSegment {
  return {
    origin,
    text: '',
    tokens: 0,
    discardedTokens: 0,
    startMs,
    firstTokenMs: null,
    endMs: null,
    reason: null,
  };
}

function withSegment(live: LiveTrace, index: number, segment: LiveSegment): LiveTrace {
  const segments = [...live.segments];
  segments[index] = segment;
  return { ...live, segments };
}
