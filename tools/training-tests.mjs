// Runs training/tests with pytest where a Python that has the training packages is at hand: BATON_PYTHON, or a
// virtual environment made here from training/pyproject.toml's declared versions when pip can reach them. The compiler's
// tests use the same Python for onnx's checker.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';

const needs = 'import torch, transformers, tokenizers, safetensors, pytest, onnx';

/**
 * @param {{path: string | null, why?: string, version?: string}} python what findPython gave
 * @returns {{passed: number, failed: number, skipped: number, note: string}} counts, and one line for the log
 */
export function trainingTests(root, python) {
  const folder = path.join(root, 'training');
  if (python.path === null)
    return { passed: 0, failed: 0, skipped: 0, note: `training tests skipped, because ${python.why}` };
  const run = spawnSync(python.path, ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'tests'], {
    cwd: folder,
    encoding: 'utf8',
    timeout: 600_000,
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
  });
  const text = `${run.stdout ?? ''}${run.stderr ?? ''}`;
  process.stdout.write(text);
  const count = (word) => Number(new RegExp(`(\\d+) ${word}`).exec(text)?.[1] ?? 0);
  const counts = {
    passed: count('passed'),
    failed: count('failed') + count('errors?'),
    skipped: count('skipped'),
  };
  if (run.status !== 0 && counts.failed === 0) counts.failed = 1;
  return { ...counts, note: `training tests: pytest under ${python.version}` };
}

/** A Python with the packages, made where there is none; `path` is null where that cannot be, and `why` says the reason. */
export function findPython(root) {
  const folder = path.join(root, 'training');
  const venv = path.join(folder, '.venv', 'bin', 'python');
  const candidates = [process.env.BATON_PYTHON, venv, 'python3'].filter(Boolean);
  for (const candidate of candidates) {
    if (spawnSync(candidate, ['-c', needs]).status === 0) return found(candidate);
  }
  const probe = spawnSync('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']);
  if (probe.status !== 0) return { path: null, why: 'there is no Python 3.10 or newer here' };
  console.log('making training/.venv for the Python tests ...');
  const made =
    existsSync(venv) || spawnSync('python3', ['-m', 'venv', path.join(folder, '.venv')]).status === 0;
  if (!made) return { path: null, why: 'python3 cannot make a virtual environment' };
  // --retries 0: an unreachable index must cost seconds, not minutes.
  const pip = spawnSync(
    venv,
    ['-m', 'pip', 'install', '--quiet', '--retries', '0', '--timeout', '15', '-e', `${folder}[test]`],
    {
      encoding: 'utf8',
      timeout: 900_000,
    },
  );
  if (pip.status !== 0)
    return { path: null, why: 'pip cannot install the packages that training/pyproject.toml names' };
  return found(venv);
}

function found(candidate) {
  const version = spawnSync(candidate, ['--version'], { encoding: 'utf8' }).stdout.trim();
  return { path: candidate, version };
}
