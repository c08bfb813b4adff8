// One run from the button to the finished trace: opens the small model if need be, drives the relay, keeps the store and
// the history up to date.

import { solve } from '@baton/split';
import type { SolveOptions } from '@baton/split';
import { store, type Run } from '../state/app-state.ts';
import { policyText, type Settings } from '../state/settings.ts';
import { keepRun } from './keep-run.ts';
import { largeModel, showLargeModel } from './large-model.ts';
import { EMPTY, advance } from './live-trace.ts';
import { showSmallModel, smallModel } from './small-model.ts';

let control: AbortController | null = null;

/** Stops the run within a step; what has been written stays. */
export function stop(): void {
  if (!control) return;
  patchRun({ status: 'stopping' });
  control.abort();
}

export async function solveQuestion(): Promise<void> {
  const { question, problems, settings } = store.value;
  if (control || question.trim() === '') return;
  const abort = new AbortController();
  control = abort;
  const expected = problems.find((p) => p.question === question.trim())?.answer ?? null;
  store.patch({
    run: { status: 'running', live: EMPTY, began: performance.now(), trace: null, error: null, expected },
    selected: null,
    sent: [],
    alert: null,
  });
  const kept = keepRun(expected);
  try {
    const small = await untilAborted(smallModel(), abort.signal);
    const large = settings.policy === 'small' ? null : await largeModel(abort.signal);
    patchRun({ began: performance.now() });
    for await (const event of solve(question.trim(), {
      small,
      large,
      ...relayOptions(settings, large !== null, abort),
    })) {
      const { run } = store.value;
      if (run) patchRun({ live: advance(run.live, event) });
      kept.add(event);
      if (event.type !== 'end') continue;
      patchRun({ status: 'done', trace: event.trace });
      showSmallModel(small);
      showLargeModel(large, event.trace);
      // Not waited for: the next question may be asked from here on, and a browser takes its time to store this one.
      void kept.finish(event.trace);
    }
  } catch (error) {
    kept.stop();
    const message = error instanceof Error ? error.message : String(error);
    patchRun(abort.signal.aborted ? { status: 'done' } : { status: 'failed', error: message });
  } finally {
    control = null;
  }
}

function relayOptions(
  settings: Settings,
  hasLarge: boolean,
  abort: AbortController,
): Omit<SolveOptions, 'small' | 'large'> {
  return {
    policy: hasLarge ? policyText(settings) : 'small',
    budget: {
      maxTokens: settings.maxTokens,
      ...(settings.maxOffload < 1 ? { maxOffload: settings.maxOffload } : {}),
    },
    sampling:
      settings.temperature === 0
        ? {}
        : { temperature: settings.temperature, topP: 0.95, seed: settings.seed },
    signal: abort.signal,
  };
}

function patchRun(change: Partial<Run>): void {
  const { run } = store.value;
  if (run) store.patch({ run: { ...run, ...change } });
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return Promise.race([work, promise]);
}
