// What is written for each service manager, to the letter, with a command line that tries every kind of quoting; and
// what the systems' own readers make of it, where they are on this machine.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceDefinition } from './definition.ts';
import { launchd } from './launchd.ts';
import { systemd } from './systemd.ts';
import { taskScheduler } from './task-scheduler.ts';

const hard: ServiceDefinition = {
  command: ['/opt/my node/bin/node', '/x/a&b.mjs', 'serve', '100%', '$HOME "q" \\', '<tag>'],
  environment: { BATON_HOME: '/home/a b/50%' },
  logFolder: '/logs/baton',
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'baton-service-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

describe('systemd', () => {
  const manager = systemd('/home/a/.config');

  test('the unit', () => {
    expect(manager.file).toBe('/home/a/.config/systemd/user/baton-bridge.service');
    expect(manager.content(hard)).toBe(`[Unit]
Description=Baton bridge (language model on this machine, for this user)

[Service]
ExecStart="/opt/my node/bin/node" "/x/a&b.mjs" "serve" "100%%" "$$HOME \\"q\\" \\\\" "<tag>"
Environment="BATON_HOME=/home/a b/50%%"
Restart=on-failure
RestartSec=5
# A started model answers its last requests first.
TimeoutStopSec=20
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`);
    expect(manager.install.map((step) => step.join(' '))).toEqual([
      'systemctl --user daemon-reload',
      'systemctl --user enable baton-bridge.service',
    ]);
    expect(manager.remove).toEqual([['systemctl', '--user', 'disable', '--now', 'baton-bridge.service']]);
  });

  test.skipIf(!has('systemd-analyze'))('systemd itself finds nothing wrong with it', () => {
    const file = path.join(folder, 'baton-bridge.service');
    const command = [process.execPath, '/x y/a.mjs', 'serve', '100%', '$HOME "q"'];
    writeFileSync(file, manager.content({ ...hard, command }));
    const done = spawnSync('systemd-analyze', ['verify', '--user', file], {
      encoding: 'utf8',
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
    });
    expect(`${done.stdout}${done.stderr}`).not.toContain('baton-bridge.service');
    expect(done.status).toBe(0);
  });
});

describe('launchd', () => {
  const manager = launchd('/Users/a', 501);

  test('the property list', () => {
    expect(manager.file).toBe('/Users/a/Library/LaunchAgents/baton.bridge.plist');
    expect(manager.content(hard)).toBe(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>baton.bridge</string>
  <key>ProgramArguments</key>
  <array>
    <string>/opt/my node/bin/node</string>
    <string>/x/a&amp;b.mjs</string>
    <string>serve</string>
    <string>100%</string>
    <string>$HOME "q" \\</string>
    <string>&lt;tag&gt;</string>
  </array>
  <key>EnvironmentVariables</key>
  <dict>
    <key>BATON_HOME</key>
    <string>/home/a b/50%</string>
  </dict>
  <key>RunAtLoad</key>
  <true/>
  <key>KeepAlive</key>
  <dict>
    <key>SuccessfulExit</key>
    <false/>
  </dict>
  <key>ThrottleInterval</key>
  <integer>10</integer>
  <key>ExitTimeOut</key>
  <integer>20</integer>
  <key>Umask</key>
  <integer>63</integer>
  <key>StandardErrorPath</key>
  <string>/logs/baton/bridge.stderr</string>
</dict>
</plist>
`);
    expect(manager.install.map((step) => step.join(' '))).toEqual([
      'launchctl enable gui/501/baton.bridge',
      'launchctl bootstrap gui/501 /Users/a/Library/LaunchAgents/baton.bridge.plist',
    ]);
    expect(manager.stop).toEqual([['launchctl', 'kill', 'SIGTERM', 'gui/501/baton.bridge']]);
  });

  test.skipIf(!has('python3'))('a reader of property lists gets the command line back', () => {
    const read = 'import json,plistlib,sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';
    const done = spawnSync('python3', ['-c', read], { input: manager.content(hard), encoding: 'utf8' });
    expect(JSON.parse(done.stdout)).toMatchObject({
      ProgramArguments: hard.command,
      EnvironmentVariables: hard.environment,
      KeepAlive: { SuccessfulExit: false },
      RunAtLoad: true,
    });
  });
});

describe('Task Scheduler', () => {
  const manager = taskScheduler('DESK\\Ann & Co', 'C:\\baton');
  const command = [
    'C:\\Program Files\\node.exe',
    'C:\\x\\a.mjs',
    'serve',
    'C:\\dir with\\end\\',
    'a"b\\"',
    '',
  ];
  const bytes = manager.content({ ...hard, command }) as Uint8Array;
  const text = Buffer.from(bytes).toString('utf16le');

  test('the task is UTF-16 with a byte-order mark, and starts at the person’s log-on', () => {
    expect([...bytes.subarray(0, 2)]).toEqual([0xff, 0xfe]);
    expect(text.slice(1)).toMatch(/^<\?xml version="1.0" encoding="UTF-16"\?>\r\n<Task version="1.2"/);
    expect(text).toContain('<UserId>DESK\\Ann &amp; Co</UserId>');
    expect(text).toContain('<RunLevel>LeastPrivilege</RunLevel>');
    expect(text).toContain('<ExecutionTimeLimit>PT0S</ExecutionTimeLimit>');
    expect(text).toContain('<DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>');
    expect(manager.install).toEqual([
      ['schtasks.exe', '/Create', '/F', '/XML', 'C:\\baton\\bridge-task.xml', '/TN', '\\Baton\\Bridge'],
    ]);
  });

  test('its arguments are read back by Windows as they were', () => {
    const line = /<Arguments>(.*)<\/Arguments>/.exec(text)![1]!.replaceAll('&amp;', '&');
    expect(commandLineToArgv(line)).toEqual(['--headless', ...command, '--env', 'BATON_HOME=/home/a b/50%']);
  });

  test.skipIf(!has('python3'))('an XML reader takes it', () => {
    const read = 'import sys,xml.dom.minidom as m; print(m.parse(sys.stdin.buffer).documentElement.tagName)';
    const done = spawnSync('python3', ['-c', read], { input: bytes, encoding: 'utf8' });
    expect(done.stdout.trim()).toBe('Task');
  });

  test('a character that XML cannot hold is refused', () => {
    expect(() => manager.content({ ...hard, command: ['a\u0001'] })).toThrow(/service file/);
  });
});

/** As documented for CommandLineToArgvW (Microsoft, "Parsing C++ command-line arguments"), arguments after the first. */
function commandLineToArgv(line: string): string[] {
  const out: string[] = [];
  let word: string | null = null;
  let quoted = false;
  for (let i = 0; i < line.length; i++) {
    const slashes = /^\\*/.exec(line.slice(i))![0].length;
    if (slashes > 0) {
      const quote = line[i + slashes] === '"';
      word = (word ?? '') + '\\'.repeat(quote ? slashes >> 1 : slashes) + (quote && slashes % 2 ? '"' : '');
      i += slashes - 1 + (quote && slashes % 2 ? 1 : 0);
    } else if (line[i] === '"') {
      quoted = !quoted;
      word ??= '';
    } else if (/\s/.test(line[i]!) && !quoted) {
      if (word !== null) out.push(word);
      word = null;
    } else word = (word ?? '') + line[i];
  }
  if (word !== null) out.push(word);
  return out;
}
