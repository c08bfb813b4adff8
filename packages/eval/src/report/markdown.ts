// The report for a person: Markdown tables and the names of the plots beside them. It adds no figure of its own; every
// number comes from the report object.

import type { ArmGap, EvalReport } from './build-report.ts';
import {
  duration,
  number,
  pValue,
  percent,
  percentRange,
  percentWithInterval,
  points,
  table,
} from './format.ts';
import type { ArmSummary } from './summarise.ts';

/** @param plots File names of the plots, in the order to show them. */
export function renderMarkdown(
  report: EvalReport,
  plots: readonly { file: string; title: string }[],
): string {
  const parts = [
    `# Evaluation: ${report.settings.task}`,
    settings(report),
    '## Accuracy and offloading',
    accuracy(report),
    report.gapClosed.length > 0 ? gapTable(report) : '',
    report.arms.some((arm) => arm.samples > 1) ? `## Several samples\n\n${atK(report)}` : '',
    '## Offloading in detail',
    offloading(report.arms),
    'Side tokens stand in no segment: keep-warm requests, probes, scores, drafts that lost.',
    '## Times',
    times(report.arms),
    report.latency === null
      ? ''
      : `## The same traces under other hand-off protocols (simulated)\n\n${latency(report)}`,
    report.comparisons.length > 0 ? `## Paired comparisons\n\n${comparisons(report)}` : '',
    '## How runs ended',
    endings(report.arms),
    problemsFound(report),
    plots.length > 0
      ? `## Plots\n\n${plots.map((plot) => `![${plot.title}](${plot.file})`).join('\n\n')}`
      : '',
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function settings({ settings, problems, samples, complete }: EvalReport): string {
  const rows = [
    ['problems', `${problems} (task SHA-256 ${settings.taskSha256.slice(0, 16)})`],
    ['samples per problem', `${samples}`],
    ['small model', settings.small ?? '-'],
    ['large model', settings.large ?? '-'],
    ['temperature', `${settings.temperature}${settings.temperature === 0 ? ' (greedy)' : ''}`],
    ['token limit', settings.maxTokens === null ? 'default' : `${settings.maxTokens}`],
    ['offload limit', settings.maxOffload === null ? 'none' : percent(settings.maxOffload)],
    ['top-p', settings.topP === null ? 'off' : `${settings.topP}`],
    ['prices per million tokens (input, cached, output)', settings.prices ?? 'none'],
    ['seed', `${settings.seed}`],
  ];
  const warning = complete
    ? ''
    : '\n\n**Incomplete**: some runs are missing. The same command goes on where it stopped.';
  return table(['setting', 'value'], rows) + warning;
}

function accuracy(report: EvalReport): string {
  const rows = report.arms.map((arm) => [
    arm.arm,
    percentWithInterval(arm.pass1.value, arm.pass1.interval),
    `${arm.pass1.right} / ${arm.runs}`,
    percentWithInterval(arm.offload.pooled, arm.offload.pooledInterval),
    `${percent(arm.offload.perRun.mean)} / ${percent(arm.offload.perRun.median)}`,
    `${percent(arm.offload.charCoverage.mean)} / ${percent(arm.offload.charCoverage.median)}`,
  ]);
  return [
    table(
      [
        'arm',
        'pass@1 (95 %)',
        'right',
        'offload ratio, pooled (95 %)',
        'per run, mean / median',
        'characters, mean / median',
      ],
      rows,
    ),
    "The offload ratio counts kept tokens; discarded large tokens are listed apart. Characters: SplitReason's measure, tags counted.",
  ].join('\n\n');
}

function gapTable(report: EvalReport): string {
  const rows = report.gapClosed.map((gap) => [gap.arm, ...gapCells(gap), `${gap.questions}`]);
  return table(['arm', 'gap closed: (arm - small) / (large - small)', '95 %', 'questions'], rows);
}

function gapCells(gap: ArmGap): [string, string] {
  if (gap.value === null) return ['undefined: large is not better than small', '-'];
  if (!gap.resolved) return ['unclear: large may not be better than small (see the paired comparison)', '-'];
  return [percent(gap.value), gap.interval === null ? '-' : percentRange(gap.interval)];
}

function atK(report: EvalReport): string {
  const rows = report.arms.flatMap((arm) =>
    arm.coverage.map((coverage, i) => {
      const majority = arm.majority[i]!;
      return [
        arm.arm,
        `${coverage.k}`,
        percentWithInterval(coverage.value, coverage.interval),
        percentWithInterval(majority.value, majority.interval),
      ];
    }),
  );
  return table(['arm', 'k', 'cov@k (95 %)', 'maj@k (95 %)'], rows);
}

function offloading(arms: readonly ArmSummary[]): string {
  const rows = arms.map((arm) => [
    arm.arm,
    `${arm.tokens.small}`,
    `${arm.tokens.large}`,
    `${arm.tokens.discarded}`,
    `${arm.tokens.side}`,
    number(arm.tokens.perRun.mean),
    `${number(arm.spans.perRun.mean, 2)} / ${number(arm.spans.perRun.median, 0)}`,
    arm.spans.tokensPerSpan === null
      ? '-'
      : `${number(arm.spans.tokensPerSpan.mean)} / ${number(arm.spans.tokensPerSpan.median, 0)}`,
    `${arm.spans.runsWithout}`,
    `${percent(arm.offload.perQuestion.mean)} / ${percent(arm.offload.perQuestion.median)}`,
    arm.cost === null ? '-' : arm.cost.total.toPrecision(4),
  ]);
  return table(
    [
      'arm',
      'small tokens',
      'large tokens kept',
      'large tokens discarded',
      'side tokens',
      'tokens per run',
      'spans per run, mean / median',
      'tokens per span, mean / median',
      'runs without a span',
      'ratio per question, mean / median',
      'cost',
    ],
    rows,
  );
}

function times(arms: readonly ArmSummary[]): string {
  const rows = arms.map(({ arm, times }) => [
    arm,
    `${duration(times.elapsedMs.mean)} / ${duration(times.elapsedMs.median)} / ${duration(times.elapsedMs.p90)}`,
    duration(times.firstTokenMs?.median),
    duration(times.handOffMs?.median),
    duration(times.handBackMs?.median),
    number(times.tokensPerSecond, 0),
  ]);
  return table(
    [
      'arm',
      'elapsed, mean / median / p90',
      'first token, median',
      'hand-off, median',
      'hand-back, median',
      'tokens/s',
    ],
    rows,
  );
}

function latency({ latency }: EvalReport): string {
  const { arms } = latency!;
  const rows = arms.map((arm) => [
    arm.arm,
    duration(arm.measuredMs.mean),
    duration(arm.simulatedMs.serial.mean),
    duration(arm.simulatedMs.relay.mean),
    duration(arm.simulatedMs.pipelined.mean),
    duration(arm.simulatedMs.ideal.mean),
    percent(arm.calibrationError),
  ]);
  const costs = arms.map(({ arm, cost }) => [
    arm,
    `${number(cost.small.decodeMs, 2)} / ${number(cost.small.prefillMs, 2)}`,
    `${number(cost.large.decodeMs, 2)} / ${number(cost.large.prefillMs, 2)}`,
    duration(cost.roundTripMs),
    `${cost.evidence.handOffs}`,
  ]);
  return [
    table(
      ['arm', 'measured', 'serial', 'relay', 'pipelined', 'ideal', 'relay against measured, median error'],
      rows,
    ),
    'Mean times over runs, priced with costs read from the same traces:',
    table(
      [
        'arm',
        'small ms/token, decode / prefill',
        'large ms/token, decode / prefill',
        'round trip',
        'hand-offs seen',
      ],
      costs,
    ),
  ].join('\n\n');
}

function comparisons(report: EvalReport): string {
  const rows = report.comparisons.map((one) => [
    `${one.from} -> ${one.to}`,
    points(one.difference),
    one.interval === null ? '-' : `${points(one.interval.low)} to ${points(one.interval.high)}`,
    `${one.better} / ${one.worse}`,
    pValue(one.pValue),
    `${one.questions}`,
  ]);
  return table(
    ['arms', 'difference, points', '95 %', 'questions better / worse', 'p (sign test)', 'questions'],
    rows,
  );
}

function endings(arms: readonly ArmSummary[]): string {
  const list = (counts: Record<string, number>): string =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  const rows = arms.map((arm) => [
    arm.arm,
    list(arm.stopReasons),
    list(arm.segmentReasons),
    list(arm.answerRules),
  ]);
  return table(['arm', 'runs ended by', 'segments ended by', 'answers found by'], rows);
}

/** The errors met most often, with how often. */
function mostMet(reasons: Record<string, number>): string {
  const sorted = Object.entries(reasons).sort(([, a], [, b]) => b - a);
  const shown = sorted.slice(0, 3).map(([reason, times]) => `${reason} (${times})`);
  const rest = sorted.length - shown.length;
  return `${shown.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
}

function problemsFound(report: EvalReport): string {
  const lines = [
    ...report.arms.flatMap(({ arm, runs, errors }) =>
      errors.runs === 0
        ? []
        : [`- ${arm}: an error cut ${errors.runs} of ${runs} runs short: ${mostMet(errors.reasons)}`],
    ),
    ...report.arms.flatMap((arm) =>
      arm.faulty.runs === 0
        ? []
        : [
            `- ${arm.arm}: ${arm.faulty.runs} traces that contradict themselves, e.g. ${arm.faulty.examples.join('; ')}`,
          ],
    ),
    ...report.failures
      .slice(0, 20)
      .map((one) => `- ${one.arm}, ${one.id} (sample ${one.sample}): ${one.message}`),
    ...(report.failures.length > 20 ? [`- and ${report.failures.length - 20} more failed runs`] : []),
  ];
  return lines.length === 0 ? '' : `## Problems\n\n${lines.join('\n')}`;
}
