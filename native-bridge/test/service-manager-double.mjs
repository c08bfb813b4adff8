// Double of systemctl and launchctl, for machines that have no session of theirs: as much of their manuals as the bridge
// relies on. Run as `NAME STATE ARGS...`; STATE is a folder that it may write. A file that holds the word in STATE/refuses
// is not accepted.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const [name, state, ...args] = process.argv.slice(2);
const at = (file) => path.join(state, file);
const read = (file) => (existsSync(file) ? readFileSync(file, 'utf8') : null);

function fail(message, status) {
  console.error(message);
  process.exit(status);
}

function accepted(file) {
  const text = read(file) ?? fail(`${file}: no such file`, 1);
  const word = read(at('refuses'));
  if (word !== null && text.includes(word)) fail(`${file}: bad setting`, 1);
  return text;
}

function pid() {
  const number = Number(read(at('pid')) ?? 0);
  try {
    if (number > 0) process.kill(number, 0);
    return number;
  } catch {
    return 0;
  }
}

const unit = path.join(process.env.XDG_CONFIG_HOME ?? '', 'systemd', 'user', 'baton-bridge.service');
const systemctl = {
  'show-environment': () => undefined,
  'daemon-reload': () => undefined,
  enable: () => accepted(unit),
  // systemctl(1): nothing is done for a unit that runs.
  start: () => {
    if (pid() > 0) return;
    const line = /^ExecStart=(.*)$/m.exec(accepted(unit))[1];
    const [program, ...words] = [...line.matchAll(/"([^"]*)"/g)].map((match) => match[1]);
    const child = spawn(program, words, { detached: true, stdio: 'ignore' });
    child.unref();
    writeFileSync(at('pid'), String(child.pid));
  },
  stop: async () => {
    const running = pid();
    if (running > 0) process.kill(running, 'SIGTERM');
    while (pid() > 0) await sleep(20);
  },
  disable: () =>
    existsSync(unit) ? systemctl.stop() : fail('Unit file baton-bridge.service does not exist.', 1),
};

const launchctl = {
  enable: () => undefined,
  // launchctl(1) gives this for a label that is loaded.
  bootstrap: () => {
    if (existsSync(at('loaded'))) fail('Bootstrap failed: 5: Input/output error', 5);
    writeFileSync(at('loaded'), accepted(args[2]));
  },
  kickstart: () => existsSync(at('loaded')) || fail('Could not find service', 113),
  bootout: () =>
    existsSync(at('loaded')) ? rmSync(at('loaded')) : fail('Boot-out failed: 3: No such process', 3),
};

await (name === 'systemctl' ? systemctl[args[1]]() : launchctl[args[0]]());
