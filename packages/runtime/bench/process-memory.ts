// Memory of a process and of everything it started, as the system counts it: the proportional set size, in which a page that
// several mappings or processes share counts once. Linux only (/proc); elsewhere null.
import { readdir, readFile } from 'node:fs/promises';

/** Bytes held now by `root` (left out itself with `own: false`) and its descendants. */
export async function familyBytes(root: number, { own = true } = {}): Promise<number | null> {
  const ids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  if (ids.length === 0) return null;
  const parents = new Map<number, number>();
  for (const id of ids) {
    const line = await readFile(`/proc/${id}/stat`, 'utf8').catch(() => '');
    // The name in brackets may hold spaces; what follows it is counted from there: state, parent.
    parents.set(id, Number(line.slice(line.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const below = (id: number | undefined): boolean =>
    id !== undefined && id > 0 && (id === root || below(parents.get(id)));
  let sum = 0;
  for (const id of ids) if (below(id) && (own || id !== root)) sum += await processBytes(id);
  return sum;
}

async function processBytes(id: number): Promise<number> {
  const text = await readFile(`/proc/${id}/smaps_rollup`, 'utf8').catch(() => '');
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}
