// The comparison as SVG plots, drawn by Observable Plot.
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Comparison } from './compare.ts';
import { floorMs, nameOf } from './summary.ts';

export interface PeerPlot {
  /** File name without folder. */
  file: string;
  svg: string;
}

/** Decode and prefill times of every subject, on a logarithmic axis: they differ by a factor of a hundred. */
export function drawPeers(comparison: Comparison): PeerPlot[] {
  const { figures, prefillAt } = comparison;
  const { document } = parseHTML('<!doctype html><html><body></body></html>');
  const name = nameOf(comparison);
  const label = (f: (typeof figures)[number]): string => `${f.id} (${f.bitsPerWeight} bits)`;
  const owner = (f: (typeof figures)[number]): string => (f.runtime === 'baton' ? 'Baton' : 'others');
  const draw = (options: Plot.PlotOptions): string => {
    const figure = Plot.plot({
      width: 760,
      height: 90 + 24 * figures.length,
      marginLeft: 230,
      marginRight: 20,
      y: { label: null, domain: figures.map(label) },
      color: { domain: ['Baton', 'others'], range: ['#4269d0', '#ff725c'], legend: false },
      ...options,
      document,
    });
    // A standalone file needs the namespace and a background, which inline SVG would inherit.
    figure.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
    figure.setAttribute('style', 'background: white; color: #222');
    return `${figure.outerHTML}\n`;
  };
  const decode = figures.flatMap((f) =>
    Object.entries(f.decode).map(([context, { median }]) => ({
      subject: label(f),
      owner: owner(f),
      context: Number(context),
      ms: median,
    })),
  );
  const floors = figures.map((f) => ({ subject: label(f), ms: floorMs(comparison, f.bitsPerWeight) }));
  const prefill = figures.map((f) => ({ subject: label(f), owner: owner(f), ms: f.prefill.median }));
  const x = (text: string): Plot.ScaleOptions => ({ label: text, type: 'log', grid: true });
  return [
    {
      file: `${name}-decode.svg`,
      svg: draw({
        x: x('ms per decoded token; larger dots: longer context; bar: reading the weights'),
        r: { range: [2.5, 6], type: 'linear', domain: [0, Math.max(...decode.map((d) => d.context))] },
        marks: [
          Plot.tickX(floors, { x: 'ms', y: 'subject', stroke: '#555' }),
          Plot.dot(decode, { x: 'ms', y: 'subject', r: 'context', fill: 'owner', fillOpacity: 0.75 }),
        ],
      }),
    },
    {
      file: `${name}-prefill.svg`,
      svg: draw({
        x: x(`ms per prompt token, ${prefillAt} tokens`),
        marks: [Plot.dot(prefill, { x: 'ms', y: 'subject', r: 5, fill: 'owner' })],
      }),
    },
  ];
}
