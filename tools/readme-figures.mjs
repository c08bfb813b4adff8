// Writes the demo pair's figures into README.md, between its markers, from training/results/evaluation.json.
// `node tools/readme-figures.mjs`; with --check it changes nothing and fails where README.md says something else.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './node.mjs';

const START = '<!-- figures: demo pair (node tools/readme-figures.mjs) -->\n';
const END = '<!-- /figures -->';

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** The text between the markers. */
function figures() {
  const file = path.join(root, 'training', 'results', 'evaluation.json');
  const { small, large, relay } = JSON.parse(readFileSync(file, 'utf8'));
  const row = (name, arm, share) => `| ${name} | ${percent(arm.accuracy)} | ${share} |`;
  return [
    `On ${relay.of} held-out word problems, greedy:`,
    '',
    '| who writes | right | written by the large model |',
    '|---|---|---|',
    row('demo-small alone', small, '0 %'),
    row('**the relay**', relay, percent(relay.offload_ratio)),
    row('demo-large alone', large, '100 %'),
    '',
    `The relay closes ${relay.closed_gap >= 1 ? 'the whole gap' : `${percent(relay.closed_gap)} of the gap`} between the two. \`npx baton eval --task arithmetic --policy small --policy learned`,
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
      'baton: README.md does not show the figures of training/results; run node tools/readme-figures.mjs',
    );
    process.exit(1);
  }
} else writeFileSync(readme, updated);
