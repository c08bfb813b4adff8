// The page of the browser benchmark: starts a worker that measures, as an application would run the model. A driver calls
// window.measure; a person presses the button.
import type { WeightKind } from '../random-network.ts';
import { graphWeights, SHAPES } from '../shapes.ts';
import type { Timing } from '../statistics.ts';
import type { PageFigures, PageJob } from './job.ts';

declare global {
  interface Window {
    measure(job: PageJob): Promise<PageFigures>;
  }
}

window.measure = (job) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
    worker.addEventListener('error', (event) => reject(new Error(event.message)));
    worker.addEventListener('message', (event: MessageEvent<PageFigures | { error: string }>) => {
      worker.terminate();
      if ('error' in event.data) reject(new Error(event.data.error));
      else resolve(event.data);
    });
    worker.postMessage(job);
  });

const CONTEXTS = [128, 512, 1000];
const find = <T extends Element>(selector: string): T => document.querySelector<T>(selector)!;
const form = find<HTMLFormElement>('#form');
const state = find('#state');
const table = find<HTMLTableElement>('#results');
const copy = find<HTMLButtonElement>('#copy');

const figures: (PageJob & { figures: PageFigures })[] = [];
const cores = navigator.hardwareConcurrency || 1;
for (const name of Object.keys(SHAPES)) form.shape.append(new Option(name, name));
form.threads.value = String(crossOriginIsolated ? Math.min(cores, 8) : 1);
form.threads.disabled = !crossOriginIsolated;
find('#machine').textContent = crossOriginIsolated
  ? `${cores} logical cores, cross-origin isolated: threads can be used.`
  : 'This page is not cross-origin isolated, so one thread is all there is.';

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void measureAll();
});

copy.addEventListener('click', () => {
  const bench = { schema: 'baton.bench.browser/1', browser: navigator.userAgent, figures };
  void navigator.clipboard.writeText(JSON.stringify(bench, null, 2));
});

async function measureAll(): Promise<void> {
  const data = new FormData(form);
  const shape = data.get('shape') as keyof typeof SHAPES;
  const threads = Number(data.get('threads') ?? 1);
  const button = form.querySelector('button')!;
  button.disabled = true;
  copy.hidden = true;
  table.tBodies[0]!.replaceChildren();
  table.hidden = false;
  figures.length = 0;
  try {
    for (const weights of data.getAll('weights') as WeightKind[]) {
      state.textContent = `Measuring ${weights}…`;
      const job: PageJob = { shape, weights, contexts: CONTEXTS, rounds: 6, threads };
      const measured = await window.measure(job);
      figures.push({ ...job, figures: measured });
      addRow(weights, shape, measured);
    }
    state.textContent = 'Done.';
    copy.hidden = false;
  } catch (error) {
    state.textContent = `Stopped: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    button.disabled = false;
  }
}

function addRow(weights: string, shape: keyof typeof SHAPES, figures: PageFigures): void {
  const { decode, prefill, read, loadMs, weightBytes } = figures;
  const time = ({ min, median }: Timing): string => `${median.toFixed(1)} (${min.toFixed(1)})`;
  const growth = decode[CONTEXTS.at(-1)!]!.median / decode[CONTEXTS[0]!]!.median - 1;
  const bandwidth = read ? `${time(read)}, ${(weightBytes / read.min / 1e6).toFixed(1)} GB/s` : '';
  const row = table.tBodies[0]!.insertRow();
  for (const text of [
    weights,
    ((weightBytes * 8) / graphWeights(SHAPES[shape])).toFixed(2),
    ...CONTEXTS.map((context) => time(decode[context]!)),
    `${(growth * 100).toFixed(0)} %`,
    time(prefill),
    bandwidth,
    (loadMs / 1000).toFixed(2),
  ])
    row.insertCell().textContent = text;
}
