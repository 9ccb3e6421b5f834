/** The daemon with a simulated card and a real switch: what is in the bridge follows what it was asked for, whatever happens. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../architecture/project-files.ts';
import { markOf, otherInstance } from '../contract/samples.ts';
import { haveOvs, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';

const run = promisify(execFile);

describe.runIf(haveOvs('the daemon on Open vSwitch'))('the daemon on Open vSwitch', () => {
  let ovs: TestSwitch;
  let dir: string;
  let daemon: ChildProcess | undefined;

  async function start(): Promise<void> {
    const argv = [join(ROOT, 'soc-daemon/main.ts'), '--config', join(dir, 'config.yaml')];
    daemon = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    const said: string[] = [];
    if (!daemon.stderr) throw new Error('the daemon has no log');
    for await (const line of createInterface({ input: daemon.stderr })) {
      said.push(line);
      if (line.includes('"node is up"')) break;
    }
    if (daemon.exitCode !== null) throw new Error(`the daemon ended: ${said.join('\n')}`);
    daemon.stderr.resume();
  }
  async function kill(): Promise<void> {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exited = once(daemon, 'exit');
    daemon.kill('SIGKILL');
    await exited;
  }
  async function dpuctl(...words: string[]): Promise<string> {
    const argv = [join(ROOT, 'soc-daemon/cli/main.ts'), '--socket', join(dir, 'state/rest.sock'), '--no-progress'];
    return (await run(process.execPath, [...argv, ...words], { timeout: 60_000 })).stdout;
  }
  const ask = async <Answer>(...words: string[]): Promise<Answer> =>
    JSON.parse(await dpuctl(...words, '-o', 'json')) as Answer;
  const ports = async (): Promise<readonly string[]> =>
    (await ovs.vsctl('list-ports', ovs.bridge)).split('\n').filter(Boolean);
  const ready = (): Promise<unknown> =>
    until('the node is ready', async () => (await ask<{ ready: boolean }>('node')).ready);

  beforeAll(async () => {
    ovs = await startSwitch({ datapath: 'dummy' });
    dir = await mkdtemp(join(tmpdir(), 'network-daemon-'));
    const config = {
      profile: 'sim',
      node: { hostname: 'real-switch' },
      state_dir: 'state',
      reconcile: { interval_s: 1 },
      catalogue: {
        subnets: { net1: { cidr: '10.9.0.0/24', vlan: 7 } },
        flavors: { whole: { vcpus: 2, memory_mib: 64 } },
      },
      network: {
        kind: 'ovs',
        ovsdb: ovs.ovsdb,
        tunnels: [{ name: 'tun0', kind: 'vxlan', remote: '192.0.2.1', key: 5 }],
      },
      sim: { world_file: 'world.db' },
    };
    await writeFile(join(dir, 'config.yaml'), JSON.stringify(config));
    await start();
  });
  afterAll(async () => {
    await kill();
    await ovs.stop();
    await rm(dir, { recursive: true, force: true });
  });

  let representor: string;

  it('binds the port of an instance that is built', async () => {
    await ready();
    await ovs.vsctl('add-port', ovs.bridge, 'foreign0');
    const what = ['--name', 'one', '--flavor', 'whole', '--image', 'demo', '--network', 'subnet=net1'];
    await dpuctl('instance', 'build', ...what);
    const [built] = await ask<{ interfaces: { representor: string; port_id: string }[] }[]>('instance', 'list');
    representor = built?.interfaces[0]?.representor ?? '';
    expect((await ports()).toSorted()).toEqual(['foreign0', representor, 'tun0'].toSorted());
    const id = built?.interfaces[0]?.port_id ?? '';
    expect(await ovs.vsctl('get', 'interface', representor, 'external_ids:iface-id')).toContain(id);
    expect((await ovs.vsctl('get', 'port', representor, 'tag')).trim()).toBe('7');
  });

  it('puts a port back that another took out, and takes out what no instance of ours has', async () => {
    const { uuid: node } = await ask<{ uuid: string }>('node');
    await ovs.vsctl('del-port', representor);
    const key = '88888888-8888-4888-8888-888888888888' as const;
    const mark = JSON.stringify({ ...markOf('nic', key, otherInstance), node });
    const ids = { 'iface-id': key, 'dpu-owner': node, 'dpu-mark': mark, 'vm-uuid': otherInstance };
    const set = Object.entries(ids).map(([name, value]) => `external_ids:${name}=${JSON.stringify(value)}`);
    await ovs.vsctl('add-port', ovs.bridge, 'stale0', '--', 'set', 'interface', 'stale0', ...set);
    const wanted = ['foreign0', representor, 'tun0'].toSorted();
    await until('the bridge is as it was', async () => (await ports()).toSorted().join() === wanted.join());
  });

  it('says when the switch is away, and goes on when it is back', async () => {
    const reasons = async (): Promise<string> =>
      JSON.stringify((await ask<Record<string, unknown>>('node')).not_ready_reasons);
    await ovs.kill('vswitchd');
    await until('the reason', async () => (await reasons()).includes('ovs-unreachable'));
    await ovs.start('vswitchd');
    await ready();
    expect((await ovs.vsctl('get', 'interface', representor, 'error')).trim()).toBe('[]');
  });

  it('knows its port again after it was killed and its store was lost', async () => {
    const before = await ovs.vsctl('get', 'interface', representor, '_uuid', 'external_ids');
    const { uuid: node } = await ask<{ uuid: string }>('node');
    await kill();
    for (const tail of ['', '-wal', '-shm']) await rm(join(dir, `state/soc-daemon.db${tail}`), { force: true });
    await start();
    await ready();
    expect(await ask('node')).toMatchObject({ uuid: node });
    expect(await ask('instance', 'list')).toMatchObject([
      { name: 'one', state: 'active', interfaces: [{ representor }] },
    ]);
    expect(await ovs.vsctl('get', 'interface', representor, '_uuid', 'external_ids')).toBe(before);
  });

  it('takes the port out with its instance, and leaves what is not ours', async () => {
    await dpuctl('instance', 'destroy', 'one');
    expect((await ports()).toSorted()).toEqual(['foreign0', 'tun0']);
  });
});
