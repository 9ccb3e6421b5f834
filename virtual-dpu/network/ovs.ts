/** Open vSwitch with its userspace datapath, on private sockets. */
import { existsSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { socNetns } from '../netns.ts';
import type { PartContext } from '../part.ts';
import { socketPath } from '../paths.ts';
import { endNamed, ensureProcess, runTool, waitForSocket } from '../process.ts';

/** The integration bridge. */
export const BRIDGE = 'br-int';

/** Where Debian's openvswitch-switch has its schema. */
const SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema';

/** What OVS runs with: its directory, and the environment that leads its tools there. */
export interface Ovs {
  readonly runDir: string;
  /** `unix:…` */
  readonly db: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Options of OVS' daemons that keep their log on standard error. */
export const LOG_OPTIONS = ['-vconsole:info', '-vfile:off', '-vsyslog:off'] as const;

/** Where OVS of a state directory is, running or not. @throws DpuError `invalid` for a path that is too long. */
export function ovsOf(stateDir: string): Ovs {
  const runDir = join(stateDir, 'ovs');
  // OVS adds `<bridge>.mgmt` and `<daemon>.<pid>.ctl` here by itself.
  socketPath(runDir, 'ovs-vswitchd.4194304.ctl');
  return {
    runDir,
    db: `unix:${socketPath(runDir, 'db.sock')}`,
    env: { OVS_RUNDIR: runDir, OVS_DBDIR: runDir, OVS_LOGDIR: runDir },
  };
}

/** Runs ovs-vsctl with a deadline. */
export async function vsctl(context: Pick<PartContext, 'stateDir' | 'name'>, ...args: string[]): Promise<string> {
  const { db, env } = ovsOf(context.stateDir);
  const argv = ['ovs-vsctl', `--db=${db}`, '--timeout=20', ...args] as const;
  return await runTool(argv, { env, netns: socNetns(context.name), timeoutMs: 25_000 });
}

/** Starts what does not run of OVS, with the bridge. `secure`: the bridge forwards nothing until somebody gives it flows. */
export async function startOvs(
  context: PartContext,
  options: { readonly secure: boolean },
): Promise<{ readonly ovsdbServer: number; readonly vswitchd: number }> {
  const { stateDir, name } = context;
  const { runDir, db, env } = ovsOf(stateDir);
  const netns = socNetns(name);
  const file = join(runDir, 'conf.db');
  await mkdir(runDir, { recursive: true, mode: 0o700 });
  if (!existsSync(file)) await runTool(['ovsdb-tool', 'create', file, SCHEMA]);
  const server = await ensureProcess(
    {
      ...{ stateDir, name: 'ovsdb-server', netns, env },
      argv: [
        ...(['ovsdb-server', file] as const),
        `--remote=p${db}`,
        `--unixctl=${join(runDir, 'ovsdb-server.ctl')}`,
        ...LOG_OPTIONS,
      ],
    },
    (owner) => waitForSocket(db.slice('unix:'.length), { owner }),
  );
  await vsctl(
    context,
    ...['--no-wait', '--', 'init', '--', 'set', 'Open_vSwitch', '.', `external_ids:system-id=${name}`],
    ...[`external_ids:hostname=${name}`, 'other_config:n-handler-threads=1', 'other_config:n-revalidator-threads=1'],
    ...['--', '--may-exist', 'add-br', BRIDGE],
    ...['--', 'set', 'Bridge', BRIDGE, 'datapath_type=netdev'],
    `fail_mode=${options.secure ? 'secure' : 'standalone'}`,
  );
  const vswitchd = await ensureProcess(
    {
      ...{ stateDir, name: 'ovs-vswitchd', netns, env },
      argv: ['ovs-vswitchd', db, `--pidfile=${join(runDir, 'ovs-vswitchd.pid')}`, ...LOG_OPTIONS],
    },
    async (owner) => {
      await waitForSocket(socketPath(runDir, `${BRIDGE}.mgmt`), { owner });
      await vsctl(context, 'wait-until', 'Interface', BRIDGE, 'ofport>0');
    },
  );
  return { ovsdbServer: server.pid, vswitchd: vswitchd.pid };
}

/** Ends OVS; its database stays. One that is not there is fine. */
export async function stopOvs(context: Pick<PartContext, 'stateDir'>): Promise<void> {
  await endNamed(context.stateDir, 'ovs-vswitchd');
  await endNamed(context.stateDir, 'ovsdb-server');
  await removeSockets(join(context.stateDir, 'ovs'));
}

/** Removes the sockets and pid files that daemons of OVS and OVN leave in their directory. */
export async function removeSockets(dir: string): Promise<void> {
  if (!existsSync(dir)) return;
  const left = (await readdir(dir)).filter((file) => /\.(?:sock|ctl|mgmt|snoop|pid)$/.test(file));
  for (const file of left) await rm(join(dir, file), { force: true });
}
