import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const schema = '/usr/share/openvswitch/vswitch.ovsschema';

/** Whether Open vSwitch is installed. With CI set its absence is a failure, elsewhere one line says what was not run. */
export function haveOvs(what: string): boolean {
  return need(
    what,
    existsSync(schema) && existsSync('/usr/sbin/ovs-vswitchd'),
    'the Debian package openvswitch-switch',
  );
}

/** Whether network namespaces can be made here, on top of what `haveOvs` says. */
export function haveNamespaces(what: string): boolean {
  return haveOvs(what) && need(what, process.getuid?.() === 0 && makesNamespaces(), 'root, and network namespaces');
}

/** Says on standard error what is not run for want of a peer; with CI set that is a failure. */
export function need(what: string, there: boolean, peer: string): boolean {
  if (there) return true;
  const text = `${what}: needs ${peer}`;
  if (process.env.CI) throw new Error(text);
  process.stderr.write(`not run: ${text}\n`);
  return false;
}

function makesNamespaces(): boolean {
  try {
    execFileSync('unshare', ['--net', 'true'], { stdio: 'ignore', timeout: 20_000 });
    return true;
  } catch {
    return false;
  }
}

/** A private Open vSwitch with a bridge `br-int`. */
export interface TestSwitch {
  readonly dir: string;
  /** `unix:…`, its database. */
  readonly ovsdb: string;
  readonly bridge: string;
  vsctl(...args: string[]): Promise<string>;
  /** ovs-ofctl COMMAND on the bridge. */
  ofctl(command: string, ...args: string[]): Promise<string>;
  /** ovs-appctl to ovs-vswitchd. */
  appctl(...args: string[]): Promise<string>;
  /** Ends one of its two processes by SIGKILL, and ends when it is gone. */
  kill(part: 'vswitchd' | 'ovsdb'): Promise<void>;
  /** Stops and continues one without ending it. */
  signal(part: 'vswitchd' | 'ovsdb', signal: NodeJS.Signals): void;
  /** Starts it again, on the same database. */
  start(part: 'vswitchd' | 'ovsdb'): Promise<void>;
  stop(): Promise<void>;
}

/** How a switch is started. */
export interface SwitchOptions {
  /** `dummy`: no device is ever opened, no rights needed. `netdev`: the userspace datapath with real devices. */
  readonly datapath: 'dummy' | 'netdev';
  /** Network namespace that ovs-vswitchd runs in. */
  readonly netns?: string;
}

/** Starts a switch; its bridge is there when this ends. */
export async function startSwitch({ datapath, netns }: SwitchOptions): Promise<TestSwitch> {
  const dir = await mkdtemp(join(tmpdir(), 'ovs-'));
  const socket = join(dir, 'db.sock');
  const bridge = 'br-int';
  const env = { ...process.env, OVS_RUNDIR: dir, OVS_DBDIR: dir, OVS_LOGDIR: dir };
  const call = async (program: string, ...args: string[]): Promise<string> =>
    (await run(program, args, { env, timeout: 30_000 })).stdout;
  await call('ovsdb-tool', 'create', join(dir, 'conf.db'), schema);

  const dummy = datapath === 'dummy' ? ['--enable-dummy=override', '--disable-system', '--disable-system-route'] : [];
  const commands = {
    ovsdb: ['ovsdb-server', join(dir, 'conf.db'), `--remote=punix:${socket}`, `--unixctl=${dir}/ovsdb.ctl`],
    vswitchd: [
      ...(netns === undefined ? [] : ['ip', 'netns', 'exec', netns]),
      ...['ovs-vswitchd', `unix:${socket}`, `--unixctl=${dir}/vswitchd.ctl`, ...dummy],
    ],
  };
  const children = new Map<string, { child: ChildProcess; gone: Promise<void> }>();
  const killAll = (): void => {
    for (const { child } of children.values()) child.kill('SIGKILL');
  };
  process.once('exit', killAll);

  const vsctl = (...args: string[]): Promise<string> =>
    call('ovs-vsctl', `--db=unix:${socket}`, '--timeout=20', ...args);
  const appctl = (...args: string[]): Promise<string> => call('ovs-appctl', '-t', `${dir}/vswitchd.ctl`, ...args);

  async function start(part: 'vswitchd' | 'ovsdb'): Promise<void> {
    const [program = '', ...args] = commands[part];
    const child = spawn(program, [...args, '--no-chdir', '-vconsole:off'], { env, stdio: 'ignore' });
    const gone = Promise.withResolvers<void>();
    child.once('exit', () => gone.resolve());
    child.once('error', () => gone.resolve());
    children.set(part, { child, gone: gone.promise });
    if (part === 'ovsdb') await call('ovsdb-client', 'wait', `unix:${socket}`, 'Open_vSwitch', 'connected');
    // ovs-vsctl without --no-wait ends when ovs-vswitchd has done what the database says
    else if (existsSync(join(dir, 'ready'))) await vsctl('--if-exists', 'get', 'bridge', bridge, 'name');
  }

  async function kill(part: 'vswitchd' | 'ovsdb'): Promise<void> {
    const running = children.get(part);
    running?.child.kill('SIGKILL');
    await running?.gone;
    children.delete(part);
    await rm(part === 'ovsdb' ? socket : join(dir, `${bridge}.mgmt`), { force: true });
  }

  await start('ovsdb');
  await vsctl('--no-wait', 'init');
  await start('vswitchd');
  await vsctl('add-br', bridge, '--', 'set', 'bridge', bridge, `datapath_type=${datapath}`);
  return {
    dir,
    ovsdb: `unix:${socket}`,
    bridge,
    vsctl,
    ofctl: (command, ...args) => call('ovs-ofctl', '-O', 'OpenFlow15', command, `unix:${dir}/${bridge}.mgmt`, ...args),
    appctl,
    kill,
    signal: (part, signal) => void children.get(part)?.child.kill(signal),
    start,
    async stop() {
      for (const part of ['vswitchd', 'ovsdb'] as const) await kill(part);
      process.off('exit', killAll);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
