// An append-only file of JSON lines that survives being killed at any moment: every row is one write of one whole line,
// synced before the append returns, and a line torn by a crash is cut off when the file is opened again. Node only.

import { open, readFile, truncate } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';

import { writeWhole } from '@baton/runtime/write-whole';

import { EvalError } from '../eval-error.ts';
import { makeFolder } from './make-folder.ts';

export interface JsonlContents {
  /** Parsed lines in file order, with their 1-based line numbers. */
  rows: { value: unknown; line: number }[];
  /** Bytes up to and including the last complete line. */
  completeBytes: number;
  /** Bytes after it: what a crash left of an unfinished line. */
  tornBytes: number;
}

/**
 * Reads a JSONL file; a missing file is empty. A last line without its newline is torn and not returned; a malformed
 * line before it throws EvalError with its line number, since it was not written by this log.
 */
export async function readJsonlLog(path: string): Promise<JsonlContents> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT')
      return { rows: [], completeBytes: 0, tornBytes: 0 };
    throw new EvalError(`${path}: cannot be read (${(error as Error).message})`);
  }
  const completeBytes = bytes.lastIndexOf(0x0a) + 1;
  const rows: JsonlContents['rows'] = [];
  for (const [index, line] of bytes.subarray(0, completeBytes).toString('utf8').split('\n').entries()) {
    if (line.trim() === '') continue;
    try {
      rows.push({ value: JSON.parse(line), line: index + 1 });
    } catch {
      throw new EvalError(
        `${path}:${index + 1}: not JSON; the file was changed by hand, or is not a log of this command`,
      );
    }
  }
  return { rows, completeBytes, tornBytes: bytes.length - completeBytes };
}

/** A log opened for appending. Appends may overlap: they are written one after another, whole. */
export interface JsonlLog {
  /** What the file held when it was opened. */
  readonly rows: JsonlContents['rows'];
  /** Bytes of a torn last line that opening removed. */
  readonly repairedBytes: number;
  append(value: unknown): Promise<void>;
  close(): Promise<void>;
}

/** Opens (or creates, with its folder) a log; removes a torn last line. */
export async function openJsonlLog(path: string): Promise<JsonlLog> {
  const { rows, completeBytes, tornBytes } = await readJsonlLog(path);
  await makeFolder(dirname(path));
  if (tornBytes > 0) await truncate(path, completeBytes);
  const file: FileHandle = await open(path, 'a');
  let last: Promise<void> = Promise.resolve();
  let length = completeBytes;
  let torn = false;
  return {
    rows,
    repairedBytes: tornBytes,
    append(value) {
      const line = Buffer.from(`${JSON.stringify(value)}\n`);
      const written = last.then(async () => {
        // What a full disk left of the line before must not become the beginning of this one.
        if (torn) await file.truncate(length);
        torn = true;
        await file.appendFile(line);
        await file.datasync();
        length += line.length;
        torn = false;
      });
      last = written.catch(() => undefined);
      return written;
    },
    async close() {
      await last;
      await file.close();
    },
  };
}

/** Replaces a file as a whole, and makes its folder. */
export async function writeFileWhole(path: string, contents: string): Promise<void> {
  await makeFolder(dirname(path));
  await writeWhole(path, contents);
}
