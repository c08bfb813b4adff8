// A whole file of traces: annotate what is not annotated yet, several at a time, each result stored under its row's own id the
// moment it is there; then the training file, the statistics and the list of rows that failed.

import { createHash } from 'node:crypto';
import { readFile, realpath } from 'node:fs/promises';
import { basename } from 'node:path';

import { openJsonlLog, writeFileWhole } from '@baton/eval/jsonl';

import { AnnotateError } from '../annotate-error.ts';
import { ANNOTATED_SCHEMA } from '../annotated-row.ts';
import type { Annotate, AnnotatedRow } from '../annotated-row.ts';
import { parseRows } from '../dataset/reasoning-row.ts';
import type { ReasoningRow } from '../dataset/reasoning-row.ts';
import { toSftRow } from '../dataset/sft.ts';
import { datasetStatistics } from '../dataset/statistics.ts';
import type { CountTokens, DatasetStatistics } from '../dataset/statistics.ts';
import { taggedTextFault } from '../spans.ts';

export interface AnnotateFileOptions {
  input: string;
  /** JSONL of annotated rows; the other files stand beside it. */
  out: string;
  /** Names the method and its models; rows made by another method are annotated again. */
  method: string;
  annotate: Annotate;
  /** Only the first so many rows. */
  limit?: number;
  concurrency?: number;
  countTokens?: CountTokens;
  signal?: AbortSignal;
  onProgress?: (progress: { done: number; failed: number; total: number }) => void;
}

export interface RejectedRow {
  id: string;
  reason: string;
}

export interface AnnotateFileResult {
  annotated: number;
  /** Rows that were there already. */
  reused: number;
  rejected: RejectedRow[];
  /** Rows not reached because the signal ended the run. */
  missing: number;
  statistics: DatasetStatistics;
  files: { annotated: string; sft: string; statistics: string; rejected: string };
}

/** Throws AnnotateError for an unreadable or malformed input, before anything is annotated or written. */
export async function annotateFile(options: AnnotateFileOptions): Promise<AnnotateFileResult> {
  const rows = await readInput(options.input, options.limit);
  const stem = options.out.replace(/\.jsonl$/, '');
  const files = {
    annotated: options.out,
    sft: `${stem}.sft.jsonl`,
    statistics: `${stem}.stats.json`,
    rejected: `${stem}.rejected.jsonl`,
  };
  await refuseInput(options.input, Object.values(files));
  const log = await openJsonlLog(options.out);
  const annotated = new Map<string, AnnotatedRow>();
  const current = (row: ReasoningRow): boolean => {
    const known = annotated.get(row.id);
    return known?.sha256 === sha256(row) && known.method === options.method;
  };
  let rejected: RejectedRow[];
  let reused: number;
  try {
    for (const { value, line } of log.rows) {
      const row = parseAnnotated(value, `${options.out}:${line}`);
      annotated.set(row.id, row);
    }
    const todo = rows.filter((row) => !current(row));
    reused = rows.length - todo.length;
    rejected = await annotateAll(todo, options, async (row) => {
      await log.append(row);
      annotated.set(row.id, row);
    });
  } finally {
    await log.close();
  }
  const failed = new Set(rejected.map((one) => one.id));
  const kept: AnnotatedRow[] = [];
  const training: string[] = [];
  for (const row of rows) {
    // A run that was stopped leaves rows of another method: they count as missing, and are in no training file.
    if (failed.has(row.id) || !current(row)) continue;
    const result = annotated.get(row.id)!;
    const sft = toSftRow(result);
    if (typeof sft === 'string') {
      rejected.push({ id: row.id, reason: sft });
      continue;
    }
    kept.push(result);
    training.push(JSON.stringify(sft));
  }
  // The log held rows in order of completion, stale ones included; the finished file has the input's order.
  const inInput = new Set(rows.map((row) => row.id));
  const others = [...annotated.values()].filter((row) => !inInput.has(row.id));
  const inOrder = [...rows.flatMap((row) => annotated.get(row.id) ?? []), ...others];
  await writeFileWhole(files.annotated, lines(inOrder.map((row) => JSON.stringify(row))));
  const statistics = await datasetStatistics(kept, options.countTokens);
  await writeFileWhole(files.sft, lines(training));
  await writeFileWhole(files.statistics, `${JSON.stringify(statistics, null, 2)}\n`);
  await writeFileWhole(files.rejected, lines(rejected.map((one) => JSON.stringify(one))));
  const missing = rows.length - kept.length - rejected.length;
  return { annotated: kept.length, reused, rejected, missing, statistics, files };
}

async function annotateAll(
  todo: readonly ReasoningRow[],
  options: AnnotateFileOptions,
  store: (row: AnnotatedRow) => Promise<void>,
): Promise<RejectedRow[]> {
  const signal = options.signal ?? new AbortController().signal;
  const rejected: RejectedRow[] = [];
  let next = 0;
  let done = 0;
  const work = async (): Promise<void> => {
    while (next < todo.length && !signal.aborted) {
      const row = todo[next++]!;
      try {
        // Found before any model is asked: such a row could never be used.
        const fault = taggedTextFault(row.text, row.text);
        if (fault !== null) throw new AnnotateError(fault);
        const result = await options.annotate(row, signal);
        await store({
          schema: ANNOTATED_SCHEMA,
          id: row.id,
          sha256: sha256(row),
          question: row.question,
          text: row.text,
          method: options.method,
          ...result,
        });
        done++;
      } catch (error) {
        if (signal.aborted) return;
        rejected.push({
          id: row.id,
          reason: (error instanceof Error ? error.message : String(error)).split('\n')[0]!,
        });
      }
      options.onProgress?.({ done, failed: rejected.length, total: todo.length });
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, options.concurrency ?? 1) }, work));
  const order = new Map(todo.map((row, i) => [row.id, i]));
  return rejected.sort((a, b) => order.get(a.id)! - order.get(b.id)!);
}

/** The rejected rows of one run are a natural input of the next, which would write its own over them. */
async function refuseInput(input: string, files: readonly string[]): Promise<void> {
  const source = await realpath(input);
  for (const file of files) {
    if ((await realpath(file).catch(() => null)) === source)
      throw new AnnotateError(`${file} would be written over the input; choose another --out`);
  }
}

async function readInput(path: string, limit: number | undefined): Promise<ReasoningRow[]> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    throw new AnnotateError(`${path}: ${missing ? 'no such file' : (error as Error).message}`);
  }
  const { rows, errors } = parseRows(text, basename(path));
  if (errors.length > 0) throw new AnnotateError(errors.join('\n'));
  if (rows.length === 0)
    throw new AnnotateError(`${path}: no traces; expected lines of {"id","question","trace"}`);
  return rows.slice(0, limit ?? rows.length);
}

function parseAnnotated(value: unknown, where: string): AnnotatedRow {
  const row = value as Partial<AnnotatedRow> | null;
  const sound =
    row?.schema === ANNOTATED_SCHEMA &&
    typeof row.id === 'string' &&
    typeof row.text === 'string' &&
    Array.isArray(row.spans);
  if (!sound)
    throw new AnnotateError(
      `${where}: not an annotated row (expected schema "${ANNOTATED_SCHEMA}"); choose another --out`,
    );
  return row as AnnotatedRow;
}

function sha256(row: ReasoningRow): string {
  return createHash('sha256')
    .update(JSON.stringify([row.question, row.text]))
    .digest('hex');
}

function lines(rows: readonly string[]): string {
  return rows.map((row) => `${row}\n`).join('');
}
