/** A whole node without Neutron but for its card: an instance that is built gets its address, name and user data from the SoC. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { asId, type NodeId } from '../../core/units.ts';
import { namespaceOf, removeNamespace } from '../../drivers/network/local/namespace.ts';
import { ROOT } from '../architecture/project-files.ts';
import { addCable, addNamespace, ask, type TestNamespace } from '../support/netns.ts';
import { haveNamespaces, startSwitch, type TestSwitch } from '../support/ovs.ts';
import { until } from '../support/wait.ts';

const run = promisify(execFile);
const node = '99999999-1111-4111-8111-111111111111';
const userData = '#cloud-config\nhostname: web-1\n';

describe.runIf(haveNamespaces('the daemon with local networks'))('the daemon with local networks', () => {
  let soc: TestNamespace;
  let host: TestNamespace;
  let ovs: TestSwitch;
  let dir: string;
  let daemon: ChildProcess | undefined;

  async function start(): Promise<void> {
    const argv = [join(ROOT, 'soc-daemon/main.ts'), '--config', join(dir, 'config.yaml')];
    daemon = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    if (!daemon.stderr) throw new Error('the daemon has no log');
    for await (const line of createInterface({ input: daemon.stderr })) if (line.includes('"node is up"')) break;
    expect(daemon.exitCode).toBeNull();
    daemon.stderr.resume();
  }
  async function end(signal: NodeJS.Signals): Promise<void> {
    if (!daemon || daemon.exitCode !== null || daemon.signalCode !== null) return;
    const exited = once(daemon, 'exit');
    daemon.kill(signal);
    await exited;
  }
  async function dpuctl(...words: string[]): Promise<string> {
    const argv = [join(ROOT, 'soc-daemon/cli/main.ts'), '--socket', join(dir, 'state/rest.sock'), '--no-progress'];
    return (await run(process.execPath, [...argv, ...words], { timeout: 60_000 })).stdout;
  }
  async function metadata(path: string): Promise<unknown> {
    const { status, body } = await ask(host, 'get', `http://169.254.169.254${path}`, 2000);
    return status === 200 ? body : undefined;
  }

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'local-daemon-'));
    [soc, host] = [await addNamespace(), await addNamespace()];
    for (const index of [0, 1, 2]) {
      await addCable({ at: soc, name: `pf${index}rep0` }, { at: host, name: `eth${index}` });
    }
    ovs = await startSwitch({ datapath: 'netdev', netns: soc.name });
    const config = {
      profile: 'sim',
      node: { hostname: 'no-neutron', uuid: node },
      state_dir: 'state',
      catalogue: { subnets: { net1: { cidr: '10.6.0.0/24' } }, flavors: { whole: { vcpus: 2, memory_mib: 64 } } },
      network: { kind: 'ovs', ovsdb: ovs.ovsdb, anti_spoof: true, local: { enabled: true, netns: soc.name } },
      sim: { world_file: 'world.db' },
    };
    await writeFile(join(dir, 'config.yaml'), JSON.stringify(config));
    await writeFile(join(dir, 'user-data'), userData);
    const script = '#!/bin/sh\n[ "$1" = bound ] && env > "$LEASE"\nexit 0\n';
    await writeFile(join(dir, 'lease.sh'), script, { mode: 0o755 });
    await start();
  });
  afterAll(async () => {
    await end('SIGKILL');
    await removeNamespace(namespaceOf(asId<NodeId>(node), 'net1'), soc.name);
    await ovs.stop();
    for (const each of [soc, host]) await each.remove();
    await rm(dir, { recursive: true, force: true });
  });

  it('tells an instance its address, name and user data, also after a restart', async () => {
    await until('the node is ready', async () => (await dpuctl('node', '-o', 'json')).includes('"ready": true'));
    const what = ['--name', 'web-1', '--flavor', 'whole', '--image', 'demo', '--network', 'subnet=net1'];
    await dpuctl('instance', 'build', ...what, '--userdata-file', join(dir, 'user-data'));
    const [built] = JSON.parse(await dpuctl('instance', 'list', '-o', 'json')) as {
      interfaces: { representor: string; mac: string; ips: string[] }[];
    }[];
    const { representor = '', mac = '', ips: [ip = ''] = [] } = built?.interfaces[0] ?? {};
    const nic = representor.replace(/^pf(\d)rep0$/, 'eth$1');
    await host.ip('link', 'set', nic, 'address', mac);

    const lease = join(dir, 'lease');
    const client = ['udhcpc', '-i', nic, '-f', '-q', '-n', '-t', '5', '-T', '1', '-s', join(dir, 'lease.sh')];
    await host.exec('env', `LEASE=${lease}`, 'busybox', ...client);
    expect((await readFile(lease, 'utf8')).split('\n')).toEqual(expect.arrayContaining([`ip=${ip}`, 'hostname=web-1']));
    await host.ip('addr', 'add', `${ip}/24`, 'dev', nic);
    await host.ip('route', 'add', '169.254.169.254/32', 'dev', nic);
    expect(await metadata('/latest/user-data')).toBe(userData);

    await end('SIGTERM');
    const { netns, port } = namespaceOf(asId<NodeId>(node), 'net1');
    expect(await soc.exec('ip', 'netns', 'list')).not.toContain(netns);
    expect(await ovs.vsctl('list-ports', ovs.bridge)).not.toContain(port);
    expect(await metadata('/latest/user-data')).toBeUndefined();
    await start();
    expect(await until('metadata', () => metadata('/latest/user-data'))).toBe(userData);
    await end('SIGKILL');
    await start();
    expect(await until('metadata', () => metadata('/latest/user-data'))).toBe(userData);
    await dpuctl('instance', 'destroy', 'web-1');
    expect(await metadata('/latest/user-data')).toBeUndefined();
  }, 90_000);
});
