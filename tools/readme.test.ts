// README.md shows what was measured, and points at nothing that is not there.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

it('README.md has the figures of docs/figures/eval-arithmetic.json', () => {
  const run = spawnSync(process.execPath, [path.join(root, 'tools', 'readme-figures.mjs'), '--check'], {
    encoding: 'utf8',
  });
  expect(run.stderr).toBe('');
  expect(run.status).toBe(0);
});

it.each(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', 'docs/performance.md'])(
  '%s links to files that exist',
  (document) => {
    const text = readFileSync(path.join(root, document), 'utf8');
    const links = [...text.matchAll(/(?:\]\(|src="|srcset=")([^)"#]+)/g)].map((m) => m[1]!);
    const local = links.filter((link) => !/^https?:/.test(link));
    const missing = local.filter((link) => !existsSync(path.join(root, path.dirname(document), link)));
    expect(missing).toEqual([]);
  },
);
