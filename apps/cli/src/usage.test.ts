// Options that contradict each other or would do nothing, and places where nothing can be written: refused before anything
// is done, in one line.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, expect, it, vi } from 'vitest';
import { run } from './main.ts';

const CHECKPOINT = fileURLToPath(new URL('../../../packages/compiler/test/fixtures/qwen2', import.meta.url));
const folder = mkdtempSync(path.join(os.tmpdir(), 'baton-cli-usage-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
afterEach(() => vi.restoreAllMocks());
const file = path.join(folder, 'file');
writeFileSync(file, 'left alone');
const task = path.join(folder, 'task.jsonl');
writeFileSync(task, '{"id":"a","question":"q","answer":"1"}\n');

/** Exit code and stderr of a command that must not get as far as running anything. */
async function refused(words: string): Promise<{ code: number; stderr: string }> {
  let stderr = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => ((stderr += String(text)), true));
  const code = await run(words.split(' '));
  vi.restoreAllMocks();
  expect(stderr.trim()).not.toContain('\n');
  return { code, stderr };
}

const EVAL = `eval --task ${task} --policy small --out ${folder}/none`;
const COMPILE = `compile ${CHECKPOINT} --context 64 --chunk 16 --out ${folder}/none`;

it.each([
  ['solve q --preset vllm', /--preset is for a server's address, and --large demo-large is a local model/],
  ['solve q --large demo-large --large-model m', /--large-model is for a server's address/],
  ['solve q --api-key-env HOME', /--api-key-env is for a server's address/],
  ['solve q --small-model m', /--small-model is for a server's address, and --small demo-small/],
  ['solve q --small-api-key-env HOME', /--small-api-key-env is for/],
  ['solve q --keep-warm --no-keep-warm', /--keep-warm and --no-keep-warm exclude each other/],
  ['solve q --max-cost 1', /--max-cost needs --prices/],
  ['solve q --prices -1,2,3', /--prices.* is invalid\. a number of at least 0/],
  [`${EVAL} --prices 1,-2,3`, /--prices.* is invalid\. a number of at least 0/],
  [`${EVAL} --temperature -1`, /--temperature.* is invalid\. a number of at least 0/],
  [`${EVAL} --no-keep-warm --keep-warm`, /--keep-warm and --no-keep-warm exclude each other/],
  [`${EVAL} --preset vllm`, /--preset is for a server's address/],
  [`${COMPILE} --keep .down=int4 --weights int8`, /--keep \.down=int4 is narrower than --weights int8/],
  [`${COMPILE} --revision main`, /--revision is for a Hugging Face id, and .* is a folder/],
  [`${COMPILE} --keep-above -1`, /--keep-above.* a number of at least 0/],
  ['score --text hi --model ', /the model is empty/],
  [`compile --out ${folder}/none `, /the checkpoint is empty/],
])('%s is wrong usage', async (words, line) => {
  const { code, stderr } = await refused(words);
  expect(stderr).toMatch(line);
  expect(code).toBe(2);
  expect(readdirSync(folder)).not.toContain('none');
});

it.each([
  [
    'generate --prompt x --model no-such-owner/name',
    /no such folder; if it is a Hugging Face id, run baton compile/,
  ],
  [
    `compile ${CHECKPOINT}/model.safetensors --out ${folder}/none`,
    /model\.safetensors is a file; give the folder/,
  ],
  [`eval --task ${folder} --policy small --out ${folder}/none`, /is a folder; a task is a \.jsonl file/],
])('%s fails with one line', async (words, line) => {
  const { code, stderr } = await refused(words);
  expect(stderr).toMatch(line);
  expect(code).toBe(1);
});

it('a folder with a letter wrong is told from a Hugging Face id that cannot be read', async () => {
  vi.stubEnv('HF_ENDPOINT', 'http://127.0.0.1:1');
  try {
    const { code, stderr } = await refused(`compile no-such/checkpoint --out ${folder}/none`);
    expect(stderr).toMatch(
      /there is no folder no-such\/checkpoint, and as a Hugging Face id it cannot be read from http:\/\/127\.0\.0\.1:1: /,
    );
    expect(code).toBe(1);
  } finally {
    vi.unstubAllEnvs();
  }
});

const TO_FILES = ['solve q', `annotate ${task} --disagreement`, 'bench relay'];
const TO_FOLDERS = [`compile ${CHECKPOINT} --context 64 --chunk 16`, `eval --task ${task} --policy small`];

it.each([...TO_FILES, ...TO_FOLDERS])('%s: an --out that is empty is no place', async (words) => {
  const { code, stderr } = await refused(`${words} --out `);
  expect(stderr).toMatch(/--out is empty/);
  expect(code).toBe(2);
});

mkdirSync(path.join(folder, 'taken'));

it.each([
  ...TO_FILES.flatMap((words) => [
    [`${words} --out ${folder}/taken`, /--out .* is a folder; name a file/] as const,
    [`${words} --out ${folder}/new/`, /--out .* is a folder; name a file/] as const,
    [`${words} --out ${file}/below/file`, /--out .*: cannot write in .*file \(it is no folder\)/] as const,
  ]),
  ...TO_FOLDERS.flatMap((words) => [
    [`${words} --out ${file}`, /--out .* is a file; name a folder/] as const,
    [`${words} --out ${file}/below`, /--out .*: cannot write in .*file \(it is no folder\)/] as const,
  ]),
  ...(process.platform === 'linux'
    ? [
        ...TO_FILES.map(
          (words) => [`${words} --out /dev/null`, /--out \/dev\/null is no plain file/] as const,
        ),
        ...[...TO_FILES, ...TO_FOLDERS].map(
          (words) => [`${words} --out /proc/below/it`, /--out .*: cannot write in \/proc \(/] as const,
        ),
      ]
    : []),
])('%s is refused before anything is written', async (words, line) => {
  const before = readdirSync(folder);
  const { code, stderr } = await refused(words);
  expect(stderr).toMatch(line);
  expect(code).toBe(1);
  expect(readdirSync(folder)).toEqual(before);
  expect(statSync(file).size).toBe('left alone'.length);
});
