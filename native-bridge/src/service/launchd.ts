// macOS: an agent of the person's own launchd. Keys: launchd.plist(5); commands: launchctl(1).
import path from 'node:path';
import type { ServiceDefinition, ServiceManager } from './definition.ts';
import { xmlText } from './xml.ts';

const LABEL = 'baton.bridge';

export function launchd(home: string, uid: number): ServiceManager {
  const domain = `gui/${uid}`;
  const service = `${domain}/${LABEL}`;
  const file = path.posix.join(home, 'Library', 'LaunchAgents', `${LABEL}.plist`);
  return {
    name: 'launchd (user)',
    file,
    content: plist,
    check: ['launchctl', 'print', domain],
    // Loading starts it as well (RunAtLoad).
    install: [
      ['launchctl', 'enable', service],
      ['launchctl', 'bootstrap', domain, file],
    ],
    start: [['launchctl', 'kickstart', service]],
    // It ends with status 0 on this signal, so that KeepAlive leaves it ended.
    stop: [['launchctl', 'kill', 'SIGTERM', service]],
    remove: [['launchctl', 'bootout', service]],
    removed: [],
    hint: 'there is no desktop session of this user',
  };
}

function plist({ command, environment, logFolder }: ServiceDefinition): string {
  const strings = command.map((word) => `    <string>${xmlText(word)}</string>`).join('\n');
  const variables = Object.entries(environment)
    .map(([name, value]) => `    <key>${xmlText(name)}</key>\n    <string>${xmlText(value)}</string>\n`)
    .join('');
  return `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
  <key>Label</key>
  <string>${LABEL}</string>
  <key>ProgramArguments</key>
  <array>
${strings}
  </array>
  <key>EnvironmentVariables</key>
  <dict>
${variables}  </dict>
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
  <string>${xmlText(path.posix.join(logFolder, 'bridge.stderr'))}</string>
</dict>
</plist>
`;
}
