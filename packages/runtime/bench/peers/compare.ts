// `baton bench peers`: Baton and other runtimes on the same decoder shape, taking turns in one run. All subjects of a place
// are opened first and stay open; in every round each takes one turn per context length, so that whatever else the
// machine does meets all of them, and memory is read in between to say how fast it was meanwhile.
import os from 'node:os';
import { graphWeights, type Shape } from '../shapes.ts';
import { round, timing, type Timing } from '../statistics.ts';
import type { ReadTimes } from './page/reader.ts';
import { subjectsOf, type Place, type Subject, type Widths } from './subjects.ts';
import type { Turn, TurnTimes } from './turn.ts';

export interface CompareOptions {
  shape: Shape;
  place: Place;
  widths: Widths;
  contexts: readonly number[];
  /** Tokens of context at which the prompt's time is reported. */
  prefillAt: number;
  rounds: number;
  /** Tokens per turn. */
  tokens: number;
  threads: number;
  /** No new round begins behind this many minutes from the start; the first always runs. */
  minutes: number;
  /** Parts of subject ids; none = all of the place and widths. */
  only: readonly string[];
  /** Prepared models (prepare.ts). */
  folder: string;
  say: (line: string) => void;
  /** Gets the figures so far behind every round, so that a run that is ended early is not lost. */
  onRound?: (soFar: Comparison) => Promise<void>;
}

/** A place where subjects run. */
export interface Host {
  description: string;
  open(subject: Subject): Promise<Opened>;
  read(times: number): Promise<ReadTimes>;
  close(): Promise<void>;
}

export interface Opened {
  loadMs: number;
  description: string;
  turn(turn: Turn): Promise<TurnTimes>;
  /** Most memory its process has held; undefined where the platform does not tell. */
  peakBytes(): Promise<number | undefined>;
  close(): Promise<void>;
}

export interface PeerFigures {
  id: string;
  runtime: string;
  target?: string;
  weights: string;
  bitsPerWeight: number;
  description: string;
  loadMs: number;
  peakBytes?: number;
  /** Tokens of context -> milliseconds per decoded token; a sample is the mean of four tokens in a row. */
  decode: Record<number, Timing>;
  /** Milliseconds per prompt token at `prefillAt` tokens, the first generated token included. */
  prefill: Timing;
}

export interface Comparison {
  schema: 'baton.bench.peers/1';
  place: Place;
  widths: Widths;
  host: string;
  machine: { processor: string; cores: number; memoryBytes: number; platform: string };
  shape: string;
  graphWeights: number;
  threads: number;
  prefillAt: number;
  /** Reading 400 MB with those threads between the turns, and the least time as a rate. */
  read: Timing & { bytes: number; gigabytesPerSecond: number };
  figures: PeerFigures[];
  skipped: { id: string; reason: string }[];
}

const SETTLE_MS = 80;
/** Times its even share of the time so far that a subject may have used and still take a turn. */
const MOST_SHARE = 1.5;

interface Run {
  subject: Subject;
  opened: Opened;
  decode: Map<number, number[]>;
  prefill: number[];
  spentMs: number;
}

/** Runs the comparison in one place. A subject that cannot run is listed with its reason. */
export async function compare(options: CompareOptions): Promise<Comparison> {
  const { shape, place, contexts, prefillAt, rounds, tokens, threads, say } = options;
  const slots = slotsFor(contexts, tokens);
  const host =
    place === 'browser'
      ? await (await import('./browser-host.ts')).browserHost(options.folder, threads, slots)
      : await (await import('./node-host.ts')).nodeHost(options.folder, threads, slots);
  const deadline = performance.now() + options.minutes * 60_000;
  const runs: Run[] = [];
  const skipped: Comparison['skipped'] = [];
  const reads: number[] = [];
  let bytes = 0;
  const result = async (): Promise<Comparison> => {
    const figures: PeerFigures[] = [];
    for (const { subject, opened, decode, prefill } of runs) {
      const peakBytes = await opened.peakBytes();
      figures.push({
        id: subject.id,
        runtime: subject.runtime,
        ...(subject.runtime === 'baton' ? { target: subject.target } : {}),
        weights: subject.weights,
        bitsPerWeight: subject.bitsPerWeight,
        description: opened.description,
        loadMs: round(opened.loadMs, 0),
        ...(peakBytes === undefined ? {} : { peakBytes }),
        decode: Object.fromEntries([...decode].map(([context, samples]) => [context, timing(samples)])),
        prefill: timing(prefill),
      });
    }
    const read = timing(reads);
    return {
      schema: 'baton.bench.peers/1',
      place,
      widths: options.widths,
      host: host.description,
      machine: {
        processor: os.cpus()[0]?.model ?? 'unknown',
        cores: os.availableParallelism(),
        memoryBytes: os.totalmem(),
        platform: `${process.platform} ${process.arch}`,
      },
      shape: shape.name,
      graphWeights: graphWeights(shape),
      threads,
      prefillAt,
      read: { ...read, bytes, gigabytesPerSecond: round(bytes / read.min / 1e6, 1) },
      figures,
      skipped,
    };
  };
  try {
    for (const subject of subjectsOf(place, options.widths, options.only)) {
      try {
        say(`opening ${subject.id}`);
        const opened = await host.open(subject);
        // Engines compile hot code a second time after a while; the first figures would be of the slower code.
        await opened.turn({ context: Math.min(...contexts), tokens });
        runs.push({
          subject,
          opened,
          decode: new Map(contexts.map((c) => [c, []])),
          prefill: [],
          spentMs: 0,
        });
      } catch (error) {
        skipped.push({ id: subject.id, reason: (error as Error).message.split('\n')[0]! });
        say(`${subject.id} is left out: ${(error as Error).message}`);
      }
    }
    if (runs.length === 0)
      throw new Error(`nothing runs here: ${skipped.map((s) => `${s.id}: ${s.reason}`).join('; ')}`);
    const began = performance.now();
    for (let round = 0; round < rounds; round++) {
      if (round > 0 && performance.now() > deadline) break;
      const read = await host.read(4);
      bytes = read.bytes;
      reads.push(...read.ms);
      const fair = ((performance.now() - began) / runs.length) * MOST_SHARE;
      for (const run of runs.slice()) {
        // A runtime that takes minutes for a round takes fewer of them, and leaves the time to the others.
        if (round > 0 && run.spentMs > fair) continue;
        say(`round ${round + 1}: ${run.subject.id}`);
        const start = performance.now();
        try {
          await takeTurn(run, options);
        } catch (error) {
          // One that breaks down or hangs costs its own row, not the run.
          skipped.push({ id: run.subject.id, reason: (error as Error).message.split('\n')[0]! });
          runs.splice(runs.indexOf(run), 1);
          await run.opened.close().catch(() => undefined);
        }
        run.spentMs += performance.now() - start;
      }
      await options.onRound?.(await result());
    }
    return await result();
  } finally {
    for (const { opened } of runs) await opened.close().catch(() => undefined);
    await host.close();
  }
}

async function takeTurn(run: Run, { contexts, tokens, prefillAt }: CompareOptions): Promise<void> {
  for (const context of contexts) {
    // The threads of the one before must have gone to sleep.
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const { firstMs, stepMs } = await run.opened.turn({ context, tokens });
    run.decode.get(context)!.push(...stepMs);
    if (context === prefillAt) run.prefill.push(firstMs / context);
  }
}

/** Slots that hold the longest context and what is generated behind it. */
export function slotsFor(contexts: readonly number[], tokens: number): number {
  return Math.ceil((Math.max(...contexts) + tokens) / 64) * 64;
}
