// What a run tells its listener while it goes on. Text in events is final: nothing that was shown is ever taken back.

import type { Origin, Trace, TraceModel, TraceSegment } from './trace.ts';

export type SolveEvent =
  | {
      type: 'start';
      question: string;
      prompt: string;
      models: { small: TraceModel; large: TraceModel | null };
      policy: string;
      seed: number | null;
      startedAt: string;
    }
  | { type: 'segment-start'; index: number; origin: Origin; startMs: number }
  /** Text that belongs to the answer; `tokens` were added with it. */
  | { type: 'text'; index: number; origin: Origin; text: string; tokens: number; atMs: number }
  | { type: 'segment-end'; index: number; segment: TraceSegment }
  /** Exactly what was sent to the large side, so that a person can see it. */
  | {
      type: 'request';
      kind: 'hand-off' | 'early' | 'warm-up' | 'score';
      to: string;
      prompt: string;
      atMs: number;
    }
  | { type: 'note'; note: string }
  | { type: 'end'; trace: Trace };

export type Emit = (event: SolveEvent) => void;
