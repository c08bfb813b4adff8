// Writes the demo pair's figures into README.md, between its markers, from docs/figures/eval-arithmetic.json,
// which is the report.json that `baton eval` wrote.
// `node tools/readme-figures.mjs`; with --check it changes nothing and fails where README.md says something else.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './node.mjs';

const START = '<!-- figures: demo pair (node tools/readme-figures.mjs) -->\n';
const END = '<!-- /figures -->';

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The text between the markers. */
function figures() {
  const file = path.join(root, 'docs', 'figures', 'eval-arithmetic.json');
  const { arms, problems, gapClosed } = JSON.parse(readFileSync(file, 'utf8'));
  const row = (title, name) => {
    const { pass1, offload } = arms.find(({ arm }) => arm === name);
    return `| ${title} | ${percent(pass1.value)} | ${percent(offload.pooled)} |`;
  };
  const closed = gapClosed.find(({ arm }) => arm === 'learned').value;
  return [
    `On ${problems} held-out word problems, greedy:`,
    '',
    '| who writes | right | written by the large model |',
    '|---|---|---|',
    row('demo-small alone', 'small'),
    row('**the relay**', 'learned'),
    row('demo-large alone', 'large'),
    '',
    `The relay closes ${closed >= 1 ? 'the whole gap' : `${percent(closed)} of the gap`} between the two. \`npx baton eval --task arithmetic --policy small --policy learned`,
    '--policy large --out results` measures it on this machine, with intervals and plots.',
    '',
  ].join('\n');
}

const readme = path.join(root, 'README.md');
const text = readFileSync(readme, 'utf8');
const from = text.indexOf(START) + START.length;
const to = text.indexOf(END);
if (from < START.length || to < from) {
  console.error('baton: README.md has lost its figure markers');
  process.exit(1);
}
const updated = text.slice(0, from) + figures() + text.slice(to);
if (process.argv.includes('--check')) {
  if (updated !== text) {
    console.error(
      'baton: README.md does not show the figures of docs/figures/eval-arithmetic.json; run node tools/readme-figures.mjs',
    );
    process.exit(1);
  }
} else writeFileSync(readme, updated);
