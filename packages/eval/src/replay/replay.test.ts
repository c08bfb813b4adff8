import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { COST, makeTrace } from '../../test/make-trace.ts';
import type { Part } from '../../test/make-trace.ts';
import { fitCostModel } from './cost-model.ts';
import { replayLatency } from './replay-latency.ts';
import { simulate } from './simulate.ts';

const part: fc.Arbitrary<Part> = fc.record({
  origin: fc.constantFrom('small' as const, 'large' as const),
  tokens: fc.integer({ min: 2, max: 300 }),
});
const parts = fc.array(part, { minLength: 1, maxLength: 10 });
const evidence = { smallDecode: 0, smallPrefill: 0, largeDecode: 0, handOffs: 0 };
const costs = fc.record({
  small: fc.record({ decodeMs: fc.double({ min: 0.01, max: 50, noNaN: true }), prefillMs: fc.constant(0) }),
  large: fc.record({
    decodeMs: fc.double({ min: 0.01, max: 50, noNaN: true }),
    prefillMs: fc.double({ min: 0, max: 5, noNaN: true }),
  }),
  roundTripMs: fc.double({ min: 0, max: 300, noNaN: true }),
  evidence: fc.constant(evidence),
});

test('the costs that made the traces are read back from their events', () => {
  const traces = [20, 60, 200].map((tokens) =>
    makeTrace([
      { origin: 'small', tokens },
      { origin: 'large', tokens: 30, discarded: 4 },
      { origin: 'small', tokens: tokens * 2 },
      { origin: 'large', tokens: 50 },
      { origin: 'small', tokens: 10, reason: 'end' },
    ]),
  );
  const cost = fitCostModel(traces);
  // The wait for a first token includes decoding that token, which no trace can tell from the round trip.
  expect(cost.roundTripMs).toBeCloseTo(COST.roundTripMs + COST.large.decodeMs, 6);
  expect(cost.large.prefillMs).toBeCloseTo(COST.large.prefillMs, 6);
  expect(cost.small.decodeMs).toBeCloseTo(COST.small.decodeMs, 6);
  expect(cost.large.decodeMs).toBeCloseTo(COST.large.decodeMs, 6);
  expect(cost.small.prefillMs).toBeCloseTo((40 * COST.small.prefillMs + COST.small.decodeMs) / 40, 6);
  expect(cost.evidence).toMatchObject({ handOffs: 6, smallPrefill: 3 });
});

test('without evidence nothing is negative or infinite', () => {
  const cost = fitCostModel([]);
  for (const value of [cost.roundTripMs, ...Object.values(cost.small), ...Object.values(cost.large)])
    expect(value).toBe(0);
  expect(simulate(makeTrace([{ origin: 'small', tokens: 5 }]), cost, 'pipelined').totalMs).toBe(0);
});

test('ideal <= pipelined <= relay <= serial, for any trace and any costs', () => {
  fc.assert(
    fc.property(parts, costs, (list, cost) => {
      const trace = makeTrace(list);
      const [ideal, pipelined, relay, serial] = (['ideal', 'pipelined', 'relay', 'serial'] as const).map(
        (protocol) => simulate(trace, cost, protocol).totalMs,
      ) as [number, number, number, number];
      expect(ideal).toBeLessThanOrEqual(pipelined + 1e-6);
      expect(pipelined).toBeLessThanOrEqual(relay + 1e-6);
      expect(relay).toBeLessThanOrEqual(serial + 1e-6);
    }),
  );
});

test('a short span is paid for: no rounding to whole chunks makes it free', () => {
  const trace = makeTrace([
    { origin: 'small', tokens: 1000 },
    { origin: 'large', tokens: 14 },
    { origin: 'small', tokens: 10 },
  ]);
  const cost = { ...COST, evidence };
  expect(simulate(trace, cost, 'ideal').totalMs).toBeCloseTo(1010 * 2 + 14 * 5 + 40 * 0.1);
  // Serial: one chunk of 64 is written and probed, and the 1,040 unseen tokens are prefilled at the hand-off.
  expect(simulate(trace, cost, 'serial')).toMatchObject({
    largeDecodeMs: 64 * 5,
    handOffMs: 30 + 1040 * 0.5,
  });
  expect(simulate(trace, cost, 'relay').handOffMs).toBe(30 + 1040 * 0.5);
  // Streaming prefill leaves only what came since the last request.
  expect(simulate(trace, cost, 'pipelined').handOffMs).toBeLessThanOrEqual(30 + 40 * 0.5);
});

test('replayed arms name their calibration, and arms without hand-offs are left out', () => {
  const relay = [
    makeTrace([
      { origin: 'small', tokens: 50 },
      { origin: 'large', tokens: 20 },
      { origin: 'small', tokens: 9 },
    ]),
  ];
  const small = [makeTrace([{ origin: 'small', tokens: 70 }])];
  const replay = replayLatency([
    { arm: 'small', traces: small },
    { arm: 'learned', traces: relay },
  ])!;
  expect(replay.arms.map((arm) => arm.arm)).toEqual(['learned']);
  expect(replay.arms[0]!.measuredMs.mean).toBe(relay[0]!.totals.elapsedMs);
  expect(replay.arms[0]!.calibrationError).toBeLessThan(0.1);
  expect(replayLatency([{ arm: 'small', traces: small }])).toBeNull();
});
