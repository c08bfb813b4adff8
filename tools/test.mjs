// `npm test`: installs what is missing, then runs every test, the real-browser ones included, and the training
// package's Python tests where a Python with its packages is found. Ends with one plain "N passed, N failed" line.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ensureInstalled } from './install.mjs';
import { pinnedNode, root } from './node.mjs';
import { findPython, trainingTests } from './training-tests.mjs';

ensureInstalled();
const out = mkdtempSync(path.join(os.tmpdir(), 'baton-test-'));
const report = path.join(out, 'vitest.json');
const vitest = path.join(root, 'node_modules', 'vitest', 'vitest.mjs');
const extra = process.argv.slice(2);

const python = extra.length === 0 ? findPython(root) : { path: null };
const env = python.path === null ? process.env : { ...process.env, BATON_PYTHON: python.path };

const run = spawnSync(
  pinnedNode(),
  [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...extra],
  { cwd: root, stdio: 'inherit', env },
);

const total = { passed: 0, failed: 0, skipped: 0 };
try {
  const result = JSON.parse(readFileSync(report, 'utf8'));
  total.passed += result.numPassedTests;
  total.failed += result.numFailedTests;
  total.skipped += result.numPendingTests + (result.numTodoTests ?? 0);
  // A file that fails to load has no tests of its own, but is a failure all the same.
  total.failed += result.testResults.filter(
    (f) => f.status === 'failed' && f.assertionResults.length === 0,
  ).length;
} catch {
  console.error('baton: vitest wrote no report; see its output above');
  total.failed += 1;
}
if (run.status !== 0 && total.failed === 0) total.failed += 1;
rmSync(out, { recursive: true, force: true });

if (extra.length === 0) {
  const training = trainingTests(root, python);
  console.log(training.note);
  total.passed += training.passed;
  total.failed += training.failed;
  total.skipped += training.skipped;
}

const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed === 0 ? 0 : 1;
