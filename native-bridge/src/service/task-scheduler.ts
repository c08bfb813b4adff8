// Windows: a task of the person's own, started at log-on. Schema: Task Scheduler Schema ("Task" element); command:
// schtasks. Arguments are quoted as CommandLineToArgvW reads them.
import path from 'node:path';
import type { ServiceDefinition, ServiceManager } from './definition.ts';
import { xmlText } from './xml.ts';

const TASK = '\\Baton\\Bridge';
const schtasks = (...args: string[]): string[] => ['schtasks.exe', ...args, '/TN', TASK];

/** `user`: DOMAIN\name. `folder`: where the file is kept that the task was made from. */
export function taskScheduler(user: string, folder: string): ServiceManager {
  const file = path.win32.join(folder, 'bridge-task.xml');
  return {
    name: 'Task Scheduler',
    file,
    // schtasks reads UTF-16 with a byte-order mark only.
    content: (definition) => utf16(task(user, definition)),
    check: ['schtasks.exe', '/Query', '/FO', 'LIST'],
    install: [schtasks('/Create', '/F', '/XML', file)],
    start: [schtasks('/Run')],
    stop: [schtasks('/End')],
    remove: [schtasks('/End'), schtasks('/Delete', '/F')],
    removed: [],
    hint: 'the Task Scheduler service does not answer',
  };
}

function task(user: string, { command, environment }: ServiceDefinition): string {
  // A task has no environment of its own; `serve` reads these from its command line instead.
  const words = [...command, ...Object.entries(environment).flatMap(([n, v]) => ['--env', `${n}=${v}`])];
  // Node is a console program; this host gives it a console that has no window (Windows 10 1809 and newer).
  const line = ['--headless', ...words].map(quoted).join(' ');
  return `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>Baton bridge (language model on this machine, for this user)</Description>
    <URI>${TASK}</URI>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
      <UserId>${xmlText(user)}</UserId>
    </LogonTrigger>
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>${xmlText(user)}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <AllowHardTerminate>true</AllowHardTerminate>
    <StartWhenAvailable>true</StartWhenAvailable>
    <RunOnlyIfNetworkAvailable>false</RunOnlyIfNetworkAvailable>
    <AllowStartOnDemand>true</AllowStartOnDemand>
    <Enabled>true</Enabled>
    <Hidden>false</Hidden>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>5</Priority>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>3</Count>
    </RestartOnFailure>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>%SystemRoot%\\System32\\conhost.exe</Command>
      <Arguments>${xmlText(line)}</Arguments>
    </Exec>
  </Actions>
</Task>
`;
}

/** Backslashes count only before a quote, where each must be doubled. */
function quoted(word: string): string {
  if (word !== '' && !/[\s"]/.test(word)) return word;
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`;
}

function utf16(text: string): Uint8Array {
  return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text.replaceAll('\n', '\r\n'), 'utf16le')]);
}
