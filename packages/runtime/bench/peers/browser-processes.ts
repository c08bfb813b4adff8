// The processes of a browser that this program started, as Linux tells of them in /proc: which there are, the processor
// time they took and the most memory they held. Empty where there is no /proc.
import { readFile, readdir } from 'node:fs/promises';

export interface BrowserProcess {
  id: number;
  /** renderer, gpu-process, utility ..., or browser for the one that started the others. */
  kind: string;
  /** Processor time so far. */
  processorMs: number;
}

/** Clock ticks of /proc are hundredths of a second on every Linux that Node runs on. */
const TICK_MS = 10;

/** Every Chromium process below this program's own. */
export async function browserProcesses(): Promise<BrowserProcess[]> {
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const parents = new Map<number, number>();
  const times = new Map<number, number>();
  for (const id of ids) {
    const stat = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
    // The name in brackets may hold spaces; fields are counted from behind it: state, parent, ..., user and system time.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    parents.set(id, Number(fields[1]));
    times.set(id, (Number(fields[11]) + Number(fields[12])) * TICK_MS);
  }
  const ours = (id: number | undefined): boolean =>
    id !== undefined && (id === process.pid || ours(parents.get(id)));
  const found: BrowserProcess[] = [];
  for (const id of ids) {
    if (id === process.pid || !ours(id)) continue;
    const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '');
    if (!/chrom/i.test(command)) continue;
    found.push({ id, kind: /--type=([\w-]+)/.exec(command)?.[1] ?? 'browser', processorMs: times.get(id)! });
  }
  return found;
}

/** Renderer processes, by id, with their processor time in milliseconds. */
export async function renderers(): Promise<Map<number, number>> {
  const all = await browserProcesses();
  return new Map(all.filter((p) => p.kind === 'renderer').map((p) => [p.id, p.processorMs]));
}

/** The renderer that worked most between two looks. */
export function busiest(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): number | undefined {
  const worked = [...after].map(([id, time]) => ({ id, time: time - (before.get(id) ?? 0) }));
  return worked.toSorted((a, b) => b.time - a.time)[0]?.id;
}

/** The most resident memory that a process has held; undefined where it is not told. */
export async function peakBytes(process: number): Promise<number | undefined> {
  const status = await readFile(`/proc/${process}/status`, 'utf8').catch(() => '');
  const kilobytes = /VmHWM:\s+(\d+) kB/.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
}
