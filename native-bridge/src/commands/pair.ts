// `baton-bridge pair`: a new one-time code for a page, also while the bridge runs without a console; and `tokens`: who is
// paired, a token for a program, an end to either.
import { Command } from 'commander';
import { invite } from '../door/invitation.ts';
import { TokenStore } from '../door/token-store.ts';
import { invitationFile, pairedFile } from '../folders.ts';
import { listRunning } from '../running.ts';
import { say } from './lifecycle.ts';
import { pairingLink } from './serve.ts';

export function pairCommand(): Command {
  return new Command('pair')
    .description('a code that pairs one page with the running bridge; works once, for 10 minutes')
    .option('--json', 'print JSON')
    .action((flags: { json?: boolean }) => {
      const running = listRunning()[0] ?? null;
      const code = invite(invitationFile());
      const link = running && pairingLink(code, running.url, running.pages, running.app);
      const lines = [`pairing code: ${code} (works once, 10 minutes)`];
      if (link) lines.push(`  or open ${link}`);
      if (!running) lines.push('  no bridge is running now; start one first');
      say(flags, { code, link, url: running?.url ?? null }, lines.join('\n'));
    });
}

export function tokensCommand(): Command {
  const store = (): TokenStore => new TokenStore(pairedFile());
  const command = new Command('tokens').description('who is paired, a token for a program, an end to either');
  command
    .command('list')
    .description('paired pages and programs')
    .option('--json', 'print JSON')
    .action((flags: { json?: boolean }) => {
      const clients = store()
        .list()
        .map(({ id, origin, name, created }) => ({ id, origin, name, created }));
      const lines = clients.map(
        ({ id, origin, name, created }) => `${id}  ${created.slice(0, 16)}  ${origin ?? 'program'}  ${name}`,
      );
      say(flags, clients, lines.length > 0 ? lines.join('\n') : 'nobody is paired');
    });
  command
    .command('issue')
    .description('make a token for a program (not for a page: those pair with a code)')
    .requiredOption('--name <name>', 'what the list calls it')
    .option('--json', 'print JSON')
    .action((flags: { name: string; json?: boolean }) => {
      const token = store().issue(null, flags.name.slice(0, 80));
      say(flags, { token }, token);
    });
  command
    .command('revoke')
    .description('end a pairing at once')
    .argument('<id|origin|all>', 'as "tokens list" shows it')
    .option('--json', 'print JSON')
    .action((which: string, flags: { json?: boolean }) => {
      const revoked = store().revoke(which);
      if (revoked === 0) throw new Error(`nobody is paired under ${which}; see: baton-bridge tokens list`);
      say(flags, { revoked }, `revoked ${revoked}`);
    });
  return command;
}
