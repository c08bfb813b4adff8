// Latency of whole arms under each protocol: fits a cost model to each arm's own traces (arms load the machine differently),
// then prices every trace with it. The relay protocol is also compared with what was really measured, so that a reader knows how far to trust the rest.

import type { Trace } from '@baton/split/trace';

import { mean, median } from '../statistics/intervals.ts';
import { fitCostModel } from './cost-model.ts';
import type { CostModel } from './cost-model.ts';
import { PROTOCOLS, simulate } from './simulate.ts';
import type { Protocol } from './simulate.ts';

export interface ArmLatency {
  arm: string;
  cost: CostModel;
  measuredMs: { mean: number; median: number };
  simulatedMs: Record<Protocol, { mean: number; median: number }>;
  /** Median over traces of |simulated relay - measured| / measured. */
  calibrationError: number;
}

export interface LatencyReplay {
  arms: ArmLatency[];
}

/** Replays arms; null when no trace has a large segment, since there is then no hand-off to price. */
export function replayLatency(
  arms: readonly { arm: string; traces: readonly Trace[] }[],
): LatencyReplay | null {
  const handsOff = (trace: Trace): boolean =>
    trace.segments.some((segment) => segment.origin === 'small') &&
    trace.segments.some((segment) => segment.origin === 'large');
  const relays = arms.filter((arm) => arm.traces.some(handsOff));
  if (relays.length === 0) return null;
  return {
    arms: relays.map(({ arm, traces }) => {
      const cost = fitCostModel(traces);
      const measured = traces.map((trace) => trace.totals.elapsedMs);
      const simulated = (protocol: Protocol): number[] =>
        traces.map((trace) => simulate(trace, cost, protocol).totalMs);
      const relay = simulated('relay');
      return {
        arm,
        cost,
        measuredMs: centre(measured),
        simulatedMs: Object.fromEntries(
          PROTOCOLS.map((protocol) => [protocol, centre(simulated(protocol))]),
        ) as ArmLatency['simulatedMs'],
        calibrationError:
          median(relay.map((ms, i) => Math.abs(ms - measured[i]!) / Math.max(measured[i]!, 1e-9))) ?? 0,
      };
    }),
  };
}

function centre(values: readonly number[]): { mean: number; median: number } {
  return { mean: mean(values) ?? 0, median: median(values) ?? 0 };
}
