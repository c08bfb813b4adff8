// `baton bench peers`: Baton beside other runtimes on the same shape; `baton bench page`: the bench page for a person's
// browser. Reads arguments and prints; the measuring is @baton/runtime/bench's.
import {
  benchPeers,
  PLACES,
  serveBenchPage,
  SHAPES,
  summary,
  WIDTHS,
  type Place,
  type Widths,
} from '@baton/runtime/bench';
import { Command } from 'commander';
import { positiveNumber } from '../number-arguments.ts';
import { contextOption, list } from './bench-arguments.ts';

interface PeersFlags {
  shape: (keyof typeof SHAPES)[];
  place: Place[];
  widths: Widths[];
  minutes: number;
  only: string[];
  context: number[];
  rounds: number;
  threads?: number;
  models?: string;
  out?: string;
  json?: boolean;
}

/** `bench peers`, ready to be registered. */
export function peersCommand(): Command {
  const shapes = Object.keys(SHAPES) as (keyof typeof SHAPES)[];
  return new Command('peers')
    .description(
      'Baton beside wllama and transformers.js in a browser, and node-llama-cpp and onnxruntime-node in Node, taking turns',
    )
    .option('--shape <names>', 'shapes of the random weights, comma-separated', list(shapes), ['100m'])
    .option('--place <places>', 'where to compare, comma-separated', list(PLACES), [...PLACES])
    .option('--widths <kinds>', 'quantised, float or both', list(WIDTHS), [...WIDTHS])
    .option('--only <parts>', 'runtimes whose names contain one of these, comma-separated', words, [])
    .addOption(contextOption())
    .option('--rounds <n>', 'most rounds in which they take turns', positiveNumber, 12)
    .option('--minutes <n>', 'minutes after which a comparison begins no new round', positiveNumber, 5)
    .option('--threads <n>', 'threads of each (default: all cores)', positiveNumber)
    .option('--models <folder>', 'keep the prepared models here for another run')
    .option('--out <folder>', 'also write figures, plots and a report here')
    .option('--json', 'print JSON')
    .action(async ({ shape, place, context, json, ...flags }: PeersFlags) => {
      const done = await benchPeers({
        ...flags,
        shapes: shape.map((name) => SHAPES[name]),
        places: place,
        contexts: context,
        onProgress: (line) => void process.stderr.write(`${line}\n`),
      });
      console.log(json ? JSON.stringify(done) : done.map(summary).join('\n\n'));
    });
}

/** `bench page`, ready to be registered. */
export function pageCommand(): Command {
  return new Command('page')
    .description('serve the bench page for your own browser')
    .option('--port <n>', 'where to serve it', positiveNumber, 8790)
    .option('--json', 'print the address as JSON when the page is there')
    .action(async ({ port, json }: { port: number; json?: boolean }) => {
      const url = await serveBenchPage(port);
      console.log(json ? JSON.stringify({ url }) : `${url} (Ctrl+C ends)`);
    });
}

function words(text: string): string[] {
  return text.split(',').map((word) => word.trim());
}
