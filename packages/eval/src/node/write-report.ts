// Writes a report into its folder: report.json, report.md and the plots, each replaced as a whole.

import { parseHTML } from 'linkedom';

import { writeFileWhole } from '../jsonl/index.ts';
import type { ArmRuns, EvalReport } from '../report/build-report.ts';
import { renderMarkdown } from '../report/markdown.ts';
import { drawPlots } from '../report/plots.ts';

/** Returns the paths written, report.json first. */
export async function writeReport(
  report: EvalReport,
  arms: readonly ArmRuns[],
  file: (name: string) => string,
): Promise<string[]> {
  const shown = arms.filter((arm) => arm.scored.length > 0);
  const document = parseHTML('<!doctype html><html><body></body></html>').document as unknown as Document;
  const plots = shown.length === 0 ? [] : drawPlots(report, shown, document);
  const written = [file('report.json')];
  await writeFileWhole(file('report.json'), `${JSON.stringify(report, null, 2)}\n`);
  for (const plot of plots) {
    await writeFileWhole(file(plot.file), plot.svg);
    written.push(file(plot.file));
  }
  await writeFileWhole(file('report.md'), renderMarkdown(report, plots));
  written.push(file('report.md'));
  return written;
}
