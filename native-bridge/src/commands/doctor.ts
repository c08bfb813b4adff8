// `baton doctor`: the execution targets of this machine, each with what it will use or why it is missing, the versions
// of what they stand on, and on request the speed of each with a model.
import { openLocal } from '@baton/runtime/node';
import type { TargetId, TargetProbe } from '@baton/runtime';
import { Command } from 'commander';
import { bridgeTargets } from '../targets.ts';
import { versions } from '../versions.ts';
import { measureTarget, type Speed } from '../measure.ts';
import { openvinoReport, reportLines } from '../openvino/report.ts';

interface Flags {
  measure?: boolean;
  model: string;
  json?: boolean;
}

interface Row extends TargetProbe {
  speed?: Speed;
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('execution targets on this machine, and why others are missing')
    .option('--measure', 'measure prefill and decode speed of every available target')
    .option('--model <dir|name>', 'model for --measure', 'demo-small')
    .option('--json', 'print JSON')
    .action(runDoctor);
}

async function runDoctor(flags: Flags): Promise<void> {
  const targets = bridgeTargets();
  const rows: Row[] = [];
  for (const target of ALL) rows.push(await targets.probe(target));
  if (flags.measure) {
    for (const row of rows.filter((r) => r.available)) {
      const model = await openLocal(flags.model, { target: row.target, targets, fallback: false });
      try {
        row.speed = await measureTarget(model);
      } finally {
        await model.close();
      }
    }
  }
  const report = { versions: await versions(), targets: rows, openvino: openvinoReport() };
  if (flags.json) console.log(JSON.stringify(report, null, 2));
  else console.log([table(report.versions, rows), ...reportLines(report.openvino)].join('\n'));
}

/** Those of this process; the browser's are listed so that nobody looks for them in vain. */
const ALL: readonly TargetId[] = [
  'openvino-npu',
  'openvino-gpu',
  'openvino-cpu',
  'ort-cpu',
  'webnn-npu',
  'webnn-gpu',
  'webnn-cpu',
  'webgpu',
  'wasm-simd',
  'wasm',
];

function table(found: Readonly<Record<string, string>>, rows: readonly Row[]): string {
  const lines = rows.map(({ target, available, reason, speed }) => {
    const speeds = speed
      ? `; decode ${speed.decodeTokensPerSecond.toFixed(1)}, prefill ${speed.prefillTokensPerSecond.toFixed(1)} tokens/s`
      : '';
    return `${available ? 'yes' : 'no '}  ${target.padEnd(13)} ${reason}${speeds}`;
  });
  const names = Object.entries(found).map(([name, version]) => `${name} ${version}`);
  return [...lines, '', names.join(', ')].join('\n');
}
