// Progress with an estimate: bytes of checkpoint done, extrapolated from the speed so far. Also where an abort is noticed.
import type { CompileProgress } from './options.ts';

/** Below this an estimate would only jump about. */
const SETTLE_MS = 500;

export interface ProgressReporter {
  /** The whole is now known to be `total` bytes. */
  expect(total: number): void;
  /** `bytes` more of the checkpoint are done. Throws the signal's reason when aborted. */
  advance(phase: 'measure' | 'weights', item: string, bytes: number): void;
  report(phase: CompileProgress['phase'], item: string): void;
}

export function startProgress(
  total: number,
  onProgress: ((progress: CompileProgress) => void) | undefined,
  signal: AbortSignal | undefined,
): ProgressReporter {
  const started = performance.now();
  let done = 0;
  const report = (phase: CompileProgress['phase'], item: string) => {
    signal?.throwIfAborted();
    const elapsedMs = performance.now() - started;
    const known = elapsedMs > SETTLE_MS && done > 0;
    const remainingMs = known ? (elapsedMs * (total - done)) / done : null;
    onProgress?.({ phase, item, done, total, elapsedMs, remainingMs });
  };
  return {
    expect: (bytes) => void (total = bytes),
    report,
    advance(phase, item, bytes) {
      done += bytes;
      report(phase, item);
    },
  };
}
