// The report's plots as SVG text, drawn by Observable Plot. Plot needs a document: a browser's own, or linkedom's in Node,
// so the caller passes one in.

import * as Plot from '@observablehq/plot';

import type { ScoredRun } from '../scoring/score.ts';
import type { EvalReport } from './build-report.ts';

export interface ReportPlot {
  /** File name without folder. */
  file: string;
  title: string;
  svg: string;
}

const WIDTH = 640;
const HEIGHT = 360;
const POSITION_BINS = 40;
const BLUE = '#4269d0';

/** Draws every plot that the report has data for. */
export function drawPlots(
  report: EvalReport,
  arms: readonly { arm: string; scored: readonly ScoredRun[] }[],
  document: Document,
): ReportPlot[] {
  const draw = (options: Plot.PlotOptions): string => {
    const figure = Plot.plot({ width: WIDTH, height: HEIGHT, marginLeft: 56, ...options, document });
    // A standalone file needs the namespace and a background, which inline SVG would inherit.
    figure.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
    figure.setAttribute('style', 'background: white; color: #222');
    return `${figure.outerHTML}\n`;
  };
  const names = report.arms.map((arm) => arm.arm);
  const colour: Plot.ScaleOptions = { domain: names, scheme: 'observable10' };
  const plots = [accuracyAgainstOffload(report, colour, draw), elapsed(arms, names, draw)];
  if (report.arms.some((arm) => arm.samples > 1)) plots.push(byK(report, draw));
  const relays = arms.filter(({ scored }) =>
    scored.some((run) => run.offloadRatio > 0 && run.offloadRatio < 1),
  );
  if (relays.length > 0) plots.push(ratios(relays, names, draw), positions(relays, names, draw));
  return plots;
}

type Draw = (options: Plot.PlotOptions) => string;

function accuracyAgainstOffload(report: EvalReport, color: Plot.ScaleOptions, draw: Draw): ReportPlot {
  const rows = report.arms.map((arm) => ({
    arm: arm.arm,
    x: arm.offload.pooled * 100,
    y: arm.pass1.value * 100,
    low: (arm.pass1.interval?.low ?? arm.pass1.value) * 100,
    high: (arm.pass1.interval?.high ?? arm.pass1.value) * 100,
  }));
  const svg = draw({
    color,
    x: { label: 'offload ratio, % of kept tokens', domain: [0, 100], grid: true },
    y: { label: 'pass@1, % (95 % interval)', domain: [0, 100], grid: true },
    marks: [
      Plot.ruleX(rows, { x: 'x', y1: 'low', y2: 'high', stroke: 'arm' }),
      Plot.dot(rows, { x: 'x', y: 'y', fill: 'arm', r: 5 }),
      Plot.text(rows, { x: 'x', y: 'y', text: 'arm', dy: -10, dx: 6, textAnchor: 'start' }),
    ],
    marginRight: 70,
  });
  return { file: 'accuracy-offload.svg', title: 'Accuracy against offload ratio', svg };
}

/** One row of panels per arm: labels beside the lines would lie on each other where arms tie. */
function byK(report: EvalReport, draw: Draw): ReportPlot {
  const rows = report.arms.flatMap((arm) =>
    (['coverage', 'majority'] as const).flatMap((measure) =>
      arm[measure].map(({ k, value, interval }) => ({
        arm: arm.arm,
        measure: measure === 'coverage' ? 'cov@k' : 'maj@k',
        k,
        value: value * 100,
        low: (interval?.low ?? value) * 100,
        high: (interval?.high ?? value) * 100,
      })),
    ),
  );
  const shown = report.arms.map((arm) => arm.arm);
  const svg = draw({
    height: 100 + 140 * shown.length,
    marginRight: 90,
    fx: { label: null },
    fy: { label: null, domain: shown },
    x: { label: 'k', type: 'log', base: 2, ticks: [...new Set(rows.map((row) => row.k))], tickFormat: 'd' },
    y: { label: '% of questions (95 % interval)', domain: [0, 100], ticks: 5, grid: true },
    marks: [
      Plot.frame({ stroke: '#ccc' }),
      Plot.areaY(rows, {
        fx: 'measure',
        fy: 'arm',
        x: 'k',
        y1: 'low',
        y2: 'high',
        fill: BLUE,
        fillOpacity: 0.15,
      }),
      Plot.line(rows, { fx: 'measure', fy: 'arm', x: 'k', y: 'value', stroke: BLUE }),
      Plot.dot(rows, { fx: 'measure', fy: 'arm', x: 'k', y: 'value', fill: BLUE }),
    ],
  });
  return { file: 'by-k.svg', title: 'cov@k and maj@k', svg };
}

function elapsed(
  arms: readonly { arm: string; scored: readonly ScoredRun[] }[],
  names: readonly string[],
  draw: Draw,
): ReportPlot {
  const rows = arms.flatMap(({ arm, scored }) =>
    scored.map((run) => ({ arm, seconds: run.elapsedMs / 1000 })),
  );
  const svg = draw({
    marginLeft: 110,
    x: { label: 'seconds per run', grid: true },
    y: { label: null, domain: [...names] },
    marks: [Plot.boxX(rows, { x: 'seconds', y: 'arm', r: 1.5 }), Plot.ruleX([0])],
  });
  return { file: 'elapsed.svg', title: 'Time per run', svg };
}

function ratios(
  arms: readonly { arm: string; scored: readonly ScoredRun[] }[],
  names: readonly string[],
  draw: Draw,
): ReportPlot {
  const rows = arms.flatMap(({ arm, scored }) =>
    scored.map((run) => ({ arm, ratio: run.offloadRatio * 100 })),
  );
  const shown = names.filter((name) => arms.some((one) => one.arm === name));
  const svg = draw({
    height: 100 + 140 * shown.length,
    marginRight: 90,
    fy: { label: null, domain: shown },
    x: { label: 'offload ratio of a run, %', domain: [0, 100] },
    y: { label: 'runs', grid: true },
    marks: [
      Plot.rectY(
        rows,
        Plot.binX({ y: 'count' }, {
          fy: 'arm',
          x: 'ratio',
          fill: BLUE,
          interval: 2.5,
        } as Plot.BinXInputs<Plot.RectYOptions>),
      ),
      Plot.ruleY([0]),
    ],
  });
  return { file: 'offload-ratios.svg', title: 'Offload ratio of single runs', svg };
}

/** Share of runs in which a position of the text, from its start (0) to its end (1), was written by the large model. */
function positions(
  arms: readonly { arm: string; scored: readonly ScoredRun[] }[],
  names: readonly string[],
  draw: Draw,
): ReportPlot {
  const rows = arms.flatMap(({ arm, scored }) =>
    Array.from({ length: POSITION_BINS }, (_, bin) => {
      const at = (bin + 0.5) / POSITION_BINS;
      const inside = scored.filter((run) =>
        run.spanExtents.some((span) => span.from <= at && at < span.to),
      ).length;
      return { arm, position: at * 100, share: (inside / scored.length) * 100 };
    }),
  );
  const shown = names.filter((name) => arms.some((one) => one.arm === name));
  const svg = draw({
    height: 100 + 140 * shown.length,
    marginRight: 90,
    fy: { label: null, domain: shown },
    x: { label: 'position in the text, %', domain: [0, 100] },
    y: { label: 'written by the large model, % of runs', grid: true },
    marks: [
      Plot.areaY(rows, { fy: 'arm', x: 'position', y: 'share', fill: BLUE, curve: 'step' }),
      Plot.ruleY([0]),
    ],
  });
  return { file: 'offload-positions.svg', title: 'Where offload spans lie', svg };
}
