// Where the built page lies that the bridge can serve itself: beside the program in the installed package, dist/ at the
// root of the repository after a build.
import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** null where no page has been built. */
export function appFolder(): string | null {
  // In the package ROOT is its dist/, where prepack puts the page under app/.
  return [path.join(ROOT, 'app'), path.join(ROOT, 'dist')].find(isApp) ?? null;
}

/** Throws for a folder that holds no page. */
export function checkApp(folder: string): string {
  if (!isApp(folder))
    throw new Error(`--app ${folder}: there is no index.html in it; give the folder of the built page`);
  return path.resolve(folder);
}

function isApp(folder: string): boolean {
  return existsSync(path.join(folder, 'index.html'));
}
