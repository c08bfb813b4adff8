// What the double plays: which devices there are, and what goes wrong on them. Read from the environment at every use, so
// that child processes play the same and a test can change it.
import { appendFileSync } from 'node:fs';

export interface DoubleSettings {
  /** Default: the CPU only. */
  devices?: readonly string[];
  /** Readable properties by device, beside FULL_DEVICE_NAME. */
  properties?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** Properties that compilation rejects, as an older driver does. */
  rejects?: readonly string[];
  /** Reject without saying which property it is about. */
  rejectsSilently?: boolean;
  /** The graph in the file with this in its name is computed wrongly on every device but the CPU. */
  wrong?: string;
  /** Compiling such a file for another device than the CPU ends the process: always, or only where it is not the first of its process. */
  dies?: { file: string; unless?: 'first' };
  /** Milliseconds between writing the first half of a blob and the whole. */
  blobMs?: number;
  /** Milliseconds added to every run, by device. */
  runMs?: Readonly<Record<string, number>>;
  /** Runs of such a file fail on every device but the CPU: AsyncInferQueue then never settles. */
  fails?: string;
  /** The device takes output tensors and does not write to them. */
  ignoresOutputs?: boolean;
  /** Every compilation and import is written here, one JSON object a line. */
  log?: string;
}

export interface DoubleEvent {
  event: 'compile' | 'import';
  pid: number;
  device: string;
  file: string;
  properties: Readonly<Record<string, string>>;
}

const VARIABLE = 'OPENVINO_DOUBLE';

export function settings(): DoubleSettings {
  return JSON.parse(process.env[VARIABLE] ?? '{}') as DoubleSettings;
}

export function play(next: DoubleSettings): void {
  process.env[VARIABLE] = JSON.stringify(next);
}

export function devices(): readonly string[] {
  return settings().devices ?? ['CPU'];
}

export function record(event: DoubleEvent): void {
  const { log } = settings();
  if (log !== undefined) appendFileSync(log, `${JSON.stringify(event)}\n`);
}
