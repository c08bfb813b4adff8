// A code that the owner asked for in another process (`baton-bridge pair`): kept as a hash with its end in a file that
// only the owner can write, so that a bridge without a console (a service) can be paired as well.
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { CODE_LIFE_MS } from './code-life.ts';
import { hashOf, newCode, normalCode, sameSecret } from './secrets.ts';

interface Stored {
  codeHash: string;
  /** Unix time in milliseconds. */
  until: number;
}

/** Writes a new invitation in place of the one before; gives the code. */
export function invite(file: string): string {
  const code = newCode();
  const stored: Stored = { codeHash: hashOf(normalCode(code)), until: Date.now() + CODE_LIFE_MS };
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  writeFileSync(`${file}.${process.pid}`, `${JSON.stringify(stored)}\n`, { mode: 0o600 });
  renameSync(`${file}.${process.pid}`, file);
  return code;
}

/** There is an invitation that has not ended. */
export function invited(file: string): boolean {
  return read(file) !== null;
}

/** True once for the right code: the invitation is used up by it. */
export function accept(file: string, code: string): boolean {
  const stored = read(file);
  if (stored === null || !sameSecret(stored.codeHash, hashOf(normalCode(code)))) return false;
  withdraw(file);
  return true;
}

export function withdraw(file: string): void {
  rmSync(file, { force: true });
}

function read(file: string): Stored | null {
  try {
    const value = JSON.parse(readFileSync(file, 'utf8')) as Partial<Stored>;
    if (typeof value.codeHash !== 'string' || typeof value.until !== 'number') return null;
    // A clock that was set back must not make a code live longer than it should.
    const left = value.until - Date.now();
    return left > 0 && left <= CODE_LIFE_MS ? (value as Stored) : null;
  } catch {
    return null;
  }
}
