// SHA-256 of an archive, and what it ought to be: given by the person, or published beside the archive.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { HttpError, type Connection } from './http.ts';

export interface Expected {
  sha256: string;
  source: 'given' | 'published';
}

/** Lower case. Throws where the text is no SHA-256. */
export function parseSha256(text: string): string {
  if (!/^[0-9a-f]{64}$/i.test(text))
    throw new Error(`${JSON.stringify(text)} is no SHA-256 (64 hexadecimal digits)`);
  return text.toLowerCase();
}

/** What `url`.sha256 says; null where nothing is published there. */
export async function publishedChecksum(http: Connection, url: string): Promise<Expected | null> {
  let text: string;
  try {
    text = await (await http.get(`${url}.sha256`)).text();
  } catch (error) {
    // Storage servers answer 403 for what is not there.
    if (error instanceof HttpError && [403, 404, 410].includes(error.status)) return null;
    throw error;
  }
  return inSidecar(text, `${url}.sha256`);
}

/** What `file`.sha256 says; null where there is none. */
export async function checksumBeside(file: string): Promise<Expected | null> {
  const text = await readFile(`${file}.sha256`, 'utf8').catch(() => null);
  return text === null ? null : inSidecar(text, `${file}.sha256`);
}

/** Throws with both sums where they differ. Gives the archive's own. */
export async function verify(file: string, expected: Expected | null): Promise<string> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(file)) hash.update(part as Buffer);
  const actual = hash.digest('hex');
  if (expected && actual !== expected.sha256)
    throw new Error(
      `the archive is not the one that was meant: its SHA-256 is ${actual}, the ${expected.source} one ${expected.sha256}; nothing was installed`,
    );
  return actual;
}

/** "HEX" or "HEX  name", as sha256sum writes it. */
function inSidecar(text: string, where: string): Expected {
  const first = text.trim().split(/\s+/)[0] ?? '';
  try {
    return { sha256: parseSha256(first), source: 'published' };
  } catch (cause) {
    throw new Error(`${where} holds no SHA-256`, { cause });
  }
}
