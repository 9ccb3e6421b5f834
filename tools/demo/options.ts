import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DemoError } from './demo-error.ts';

/** What the demo was asked for. */
export interface DemoOptions {
  readonly help: boolean;
  /** Leave broker and daemon running, and write demo.json. */
  readonly keep: boolean;
  /** End what `keep` left running. */
  readonly down: boolean;
  /** Simulated hardware instead of a virtual DPU. */
  readonly sim: boolean;
  /** In an OpenStack cloud of its own, with two nodes. */
  readonly openstack: boolean;
  /** With a broker; without one the node is driven over REST alone. */
  readonly broker: boolean;
  /** Absolute path of the state directory. */
  readonly dir: string;
}

/** The text of `--help`. */
export const HELP = `Usage: npm run demo [-- OPTIONS]

Starts a private RabbitMQ, a server with a DPU made of real parts (QEMU, Open vSwitch, a storage daemon, a BMC) and the
daemon, then builds a bare-metal instance, boots it to its login prompt and takes it away again, as a cloud platform would.
Nothing is left running unless you ask for it. Needs root; --sim does not.

  --keep        leave broker and daemon running in the background and write demo.json into the state directory;
                given again, it starts what has died, on the same state
  --down        end what --keep left running, and nothing else
  --state DIR   the state directory (default .demo/): demos with different ones live side by side
  --sim         simulated hardware: needs no root, and boots nothing
  --openstack   an unmodified OpenStack from Debian's packages instead, with two nodes of simulated hardware in it, a bare-metal
                one and one for VMs; the stock client makes a server on each. Goes with --keep, --down and --state
                (default .demo-openstack/)
  --no-broker   no RabbitMQ: drive the node over its REST interface alone
  -h, --help    this text
`;

/** Reads the command line; `root` is the repository, where the default state directory is. @throws DemoError */
export function parseOptions(argv: readonly string[], root: string): DemoOptions {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        keep: { type: 'boolean', default: false },
        down: { type: 'boolean', default: false },
        sim: { type: 'boolean', default: false },
        openstack: { type: 'boolean', default: false },
        'no-broker': { type: 'boolean', default: false },
        state: { type: 'string' },
      },
    });
    if (values.keep && values.down) throw new TypeError('--keep and --down exclude each other');
    if (values.openstack && (values.sim || values['no-broker'])) {
      throw new TypeError('--openstack goes with --keep, --down and --state only');
    }
    if (values.state === '') throw new TypeError('--state needs a directory');
    return {
      help: values.help,
      keep: values.keep,
      down: values.down,
      sim: values.sim,
      openstack: values.openstack,
      broker: !values['no-broker'],
      dir:
        values.state === undefined
          ? join(root, values.openstack ? '.demo-openstack' : '.demo')
          : resolve(userDirectory(), values.state),
    };
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new DemoError(`${error.message} (npm run demo -- --help shows what there is)`);
  }
}

/** Where the user stands: npm runs scripts in the repository, and says where it was called. */
function userDirectory(): string {
  const { npm_lifecycle_event: script, INIT_CWD: called } = process.env;
  return script === 'demo' && called !== undefined ? called : process.cwd();
}
