// How far every way of storing weights is from transformers, for every fixture, as a file and as a table:
//   node packages/compiler/test/accuracy-report.ts docs/figures/compile-accuracy.json
// An error is ||logits - reference|| / ||reference|| of one position; worst and middle position of a prompt of 50. The
// fixtures are tiny random networks, which multiply a rounding far more than trained ones: read the columns side by side.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { CompileOptions } from '../src/index.ts';
import { compileDirectory } from '../src/node/index.ts';
import { fixture, fixtureNames, withFolder, worstError } from './fixtures.ts';
import { TestHost } from './host.ts';

const FORMS: readonly [name: string, options: CompileOptions][] = [
  ['f32', {}],
  ['f16', { weights: 'f16' }],
  ['int8', { weights: 'int8' }],
  ['int4', { weights: 'int4' }],
  ['int8 fused', { weights: 'int8', lowering: 'fused' }],
  ['int4 fused', { weights: 'int4', lowering: 'fused' }],
];

interface Accuracy {
  fixture: string;
  form: string;
  /** Largest relative error of a weight matrix. */
  weights: number;
  worst: number;
  middle: number;
}

async function measure(name: string, form: string, options: CompileOptions): Promise<Accuracy> {
  return withFolder(async (folder) => {
    const out = path.join(folder, 'model');
    const { manifest } = await compileDirectory(fixture(name).directory, out, {
      context: 128,
      chunk: 16,
      ...options,
    });
    const host = await TestHost.open(out);
    try {
      const { prompt, logits } = fixture(name);
      const rows = await host.forward(prompt, 0);
      const errors = rows.map((row, r) => worstError([row], [logits[r]!])).toSorted((a, b) => a - b);
      const weights = Math.max(...Object.values(manifest.tensors).map((t) => t.relativeError ?? 0));
      return { fixture: name, form, weights, worst: errors.at(-1)!, middle: errors[errors.length >> 1]! };
    } finally {
      await host.close();
    }
  });
}

const results: Accuracy[] = [];
for (const name of fixtureNames())
  for (const [form, options] of FORMS) results.push(await measure(name, form, options));

const rounded = results.map((r) => ({
  ...r,
  weights: Number(r.weights.toPrecision(3)),
  worst: Number(r.worst.toPrecision(3)),
  middle: Number(r.middle.toPrecision(3)),
}));
if (process.argv[2]) writeFileSync(process.argv[2], `${JSON.stringify(rounded, null, 1)}\n`);
const brief = (x: number) => (x < 1e-3 ? x.toExponential(1) : `${(100 * x).toPrecision(2)} %`);
console.log(`| fixture | ${FORMS.map(([form]) => form).join(' | ')} |`);
console.log(`| --- |${FORMS.map(() => ' --- |').join('')}`);
for (const name of fixtureNames()) {
  const cells = FORMS.map(([form]) => {
    const r = results.find((x) => x.fixture === name && x.form === form)!;
    return `${brief(r.middle)} (${brief(r.worst)})`;
  });
  console.log(`| ${name} | ${cells.join(' | ')} |`);
}
