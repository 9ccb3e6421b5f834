/** Brings an OpenStack control plane up and takes it down: `node tools/openstack.ts up|down|status [--state DIR]`. */
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { readStack } from './openstack/layout.ts';
import { openPrograms, StackError } from './openstack/programs.ts';
import { stackDown, stackUp } from './openstack/stack.ts';

const ROOT = join(import.meta.dirname, '..');

const HELP = `Usage: node tools/openstack.ts COMMAND [OPTIONS]

An unmodified OpenStack Zed from Debian's packages (node tools/setup.mjs openstack), on free ports of 127.0.0.1, as root.

  up       bring it up, or what of it does not run; prints how long each part took
  down     end it, by pid
  status   what runs, with pids

  --state DIR   where it lives (default .demo-openstack)
  --ceph        with a real Ceph behind Cinder (node tools/setup.mjs openstack-ceph)
  --purge       down: remove the directory as well
`;

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof StackError) && !(error instanceof TypeError)) throw error;
  console.error(`openstack: ${error.message}`);
  process.exitCode = 1;
}

async function main(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      state: { type: 'string' },
      ceph: { type: 'boolean', default: false },
      purge: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const dir = resolve(values.state ?? join(ROOT, '.demo-openstack'));
  const say = (line: string): void => console.log(line);
  switch (values.help ? 'help' : positionals.join(' ')) {
    case 'up': {
      const stack = await stackUp({ dir, ceph: values.ceph, cache: join(ROOT, '.cache/openstack'), say });
      say(`. ${stack.openrc}`);
      return 0;
    }
    case 'down': {
      const ended = await stackDown(dir, { purge: values.purge });
      say(ended.length === 0 ? `nothing runs in ${dir}` : `ended ${ended.join(', ')}`);
      return 0;
    }
    case 'status':
      for (const [name, pid] of Object.entries(openPrograms(readStack(dir).dir).running())) say(`${pid}\t${name}`);
      return 0;
    case 'help':
      say(HELP);
      return 0;
    default:
      console.error(HELP);
      return 2;
  }
}
