// A folder for PATH that holds the doubles of the service managers' commands.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const double = fileURLToPath(new URL('service-manager-double.mjs', import.meta.url));

export class ServiceManagers {
  readonly path: string;
  readonly #state: string;

  /** `folder` goes with the test. */
  constructor(folder: string) {
    this.#state = path.join(folder, 'managers');
    const programs = path.join(this.#state, 'bin');
    mkdirSync(programs, { recursive: true });
    for (const name of ['systemctl', 'launchctl']) {
      const line = [process.execPath, double, name, this.#state].map((word) => `'${word}'`).join(' ');
      writeFileSync(path.join(programs, name), `#!/bin/sh\nexec ${line} "$@"\n`, { mode: 0o755 });
    }
    this.path = `${programs}${path.delimiter}${process.env.PATH ?? ''}`;
  }

  /** From now on a service whose file holds `word` is refused; null: none is. */
  refuse(word: string | null): void {
    const file = path.join(this.#state, 'refuses');
    if (word === null) rmSync(file, { force: true });
    else writeFileSync(file, word);
  }
}
