// The compiler's part of docs/performance.md is what its figures say, and its commands run on the pinned Node.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { currentTables, DOCUMENT, withTables } from '../bench/report.ts';

const README = path.join(import.meta.dirname, '../README.md');

it('shows the figures of docs/figures (else run packages/compiler/bench/report.ts)', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  expect(currentTables()).toContain('| shape | weights |');
  expect(withTables(document, currentTables())).toBe(document);
});

it('gives commands that use the Node of this workspace: npx or npm run', () => {
  const document = readFileSync(DOCUMENT, 'utf8');
  const start = document.indexOf('# Performance of the compiler');
  const own = document.slice(start, document.indexOf('\n# ', start + 1));
  const commands = [own, readFileSync(README, 'utf8')].flatMap((text) => [
    ...text.matchAll(/^ {4}(?:\w+=\S+ )?(\w+) .*\.ts\b.*$|^ {4}(npx|npm|node) .*$/gm),
  ]);
  expect(commands.length).toBeGreaterThan(5);
  for (const [line, script, program] of commands) expect(script ?? program, line).toMatch(/^np[xm]$/);
});
