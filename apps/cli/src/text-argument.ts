// A text as a person gives it to a command: on the command line, or from a file or standard input where it is longer than
// a command line takes (128 KiB for one argument on Linux, 32 KiB for all on Windows).
import { readFile } from 'node:fs/promises';
import { text as readStream } from 'node:stream/consumers';
import { UsageError } from './usage-error.ts';

/** What names the two in messages, e.g. "--prompt" and "--prompt-file". */
export interface TextArgument {
  text: string | undefined;
  file: string | undefined;
  textName: string;
  fileName: string;
}

/** The text. As in a shell's $(...), the line end that closes a file is none of it. Throws UsageError unless exactly one is given. */
export async function textArgument({ text, file, textName, fileName }: TextArgument): Promise<string> {
  if (text !== undefined && file !== undefined)
    throw new UsageError(`${textName} and ${fileName} exclude each other: give one`);
  if (text !== undefined) return text;
  if (file === undefined) throw new UsageError(`give ${textName}, or ${fileName} (- for standard input)`);
  return (await read(file, fileName)).replace(/\r?\n$/, '');
}

async function read(file: string, fileName: string): Promise<string> {
  if (file === '-') return readStream(process.stdin);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file));
  } catch (cause) {
    throw new Error(`${fileName} ${file}: cannot be read as text (${(cause as Error).message})`, { cause });
  }
}
