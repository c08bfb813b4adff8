// `baton install-runtime` (and `baton-bridge install-runtime`): fetches OpenVINO's binary, which the npm package does not
// carry and whose install script does not run by default.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { parseSha256 } from '../install-runtime/checksum.ts';
import { installRuntime, removeRuntimes, type Installed } from '../install-runtime/install.ts';
import { progressLine } from '../install-runtime/progress-line.ts';
import { ADDON_FILE } from '../openvino/runtime-folder.ts';

interface Flags {
  archive?: string;
  url?: string;
  sha256?: string;
  force?: boolean;
  remove?: boolean;
  json?: boolean;
}

export function installRuntimeCommand(): Command {
  return new Command('install-runtime')
    .description("fetch OpenVINO's binary, which the NPU and Intel GPU targets need")
    .option('--archive <file>', 'install from a file instead of the network')
    .option('--url <url>', 'fetch it from another place (https)')
    .option('--sha256 <hex>', 'refuse an archive with another SHA-256', sha256)
    .option('--force', 'install over what is there')
    .option('--remove', 'remove what was installed')
    .option('--json', 'print JSON, and no progress')
    .addHelpText(
      'after',
      '\nHTTPS_PROXY, HTTP_PROXY and NO_PROXY are respected. A download that breaks off goes on where it was.',
    )
    .action(run);
}

async function run(flags: Flags): Promise<void> {
  if (flags.remove) {
    const removed = await removeRuntimes();
    console.log(
      flags.json ? JSON.stringify({ removed }) : `removed: ${removed.join(', ') || 'nothing was installed'}`,
    );
    return;
  }
  const installed = await installRuntime({
    ...flags,
    ...(flags.json ? {} : { onProgress: progressLine(process.stderr) }),
  });
  const loads = tryToLoad(installed.folder);
  if (flags.json) console.log(JSON.stringify({ ...installed, ...loads }, null, 2));
  else console.log(said(installed));
  if (loads.error !== null)
    throw new Error(`it is in ${installed.folder} but does not load: ${loads.error}; see baton doctor`);
  if (!flags.json) console.log(`it loads: OpenVINO ${loads.build}. See baton doctor for the devices here`);
}

function said({ version, folder, changed, sha256, checksum }: Installed): string {
  if (!changed) return `OpenVINO ${version} is in ${folder} already; --force installs it again`;
  const checked =
    checksum === 'none'
      ? 'nothing to check it against was published or given (--sha256); it came over https or from your file'
      : `as ${checksum}`;
  return `OpenVINO ${version} is in ${folder}\nSHA-256 ${sha256}: ${checked}`;
}

/** In a process of its own: a library that does not fit may end it. */
function tryToLoad(folder: string): { build: string | null; error: string | null } {
  const script = 'process.stdout.write(String(require(process.argv[1]).getOpenvinoVersion().buildNumber))';
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=commonjs', '--eval', script, path.join(folder, ADDON_FILE)],
    { encoding: 'utf8', timeout: 60_000 },
  );
  if (status === 0) return { build: stdout, error: null };
  const why =
    /^\w*Error: (.+)$/m.exec(stderr)?.[1] ?? (signal ? `ended by ${signal}` : `exit code ${status}`);
  return { build: null, error: why };
}

function sha256(text: string): string {
  try {
    return parseSha256(text);
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message);
  }
}
