// Linux: a unit of the person's own systemd. Syntax: systemd.service(5), systemd.syntax(7), quoting as in
// systemd.service(5), "Command lines".
import path from 'node:path';
import type { ServiceDefinition, ServiceManager } from './definition.ts';

const UNIT = 'baton-bridge.service';
const systemctl = (...args: string[]): string[] => ['systemctl', '--user', ...args];

/** `configHome`: XDG_CONFIG_HOME or ~/.config. */
export function systemd(configHome: string): ServiceManager {
  return {
    name: 'systemd (user)',
    file: path.posix.join(configHome, 'systemd', 'user', UNIT),
    content: unit,
    check: systemctl('show-environment'),
    install: [systemctl('daemon-reload'), systemctl('enable', UNIT)],
    start: [systemctl('start', UNIT)],
    stop: [systemctl('stop', UNIT)],
    remove: [systemctl('disable', '--now', UNIT)],
    removed: [systemctl('daemon-reload')],
    hint: 'there is no systemd session for this user here',
  };
}

function unit({ command, environment }: ServiceDefinition): string {
  const variables = Object.entries(environment).map(
    ([name, value]) => `Environment=${quoted(`${name}=${value}`)}`,
  );
  return `[Unit]
Description=Baton bridge (language model on this machine, for this user)

[Service]
ExecStart=${command.map(commandWord).join(' ')}
${variables.map((line) => `${line}\n`).join('')}Restart=on-failure
RestartSec=5
# A started model answers its last requests first.
TimeoutStopSec=20
UMask=0077
NoNewPrivileges=yes

[Install]
WantedBy=default.target
`;
}

/** ExecStart= also expands $VARIABLES. */
function commandWord(word: string): string {
  return quoted(word).replaceAll('$', '$$$$');
}

function quoted(word: string): string {
  const escaped = word
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('%', '%%')
    .replaceAll('\n', '\\n');
  return `"${escaped}"`;
}
