/** The daemon with a simulated card and a real BMC: what it says of the host is what the BMC says, and its builds switch a real machine. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type BmcBench, eventually, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';

const root = join(import.meta.dirname, '../..');

describe.skipIf(!haveBmcPrograms('the daemon on a real BMC'))('the daemon on a real BMC', () => {
  let at: BmcBench;
  let dir: string;
  let daemon: ChildProcess | undefined;
  beforeAll(async () => {
    at = await startBmcBench();
  }, 60_000);
  afterAll(() => at?.close());
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'bmc-daemon-'));
  });
  afterEach(async () => {
    if (daemon?.exitCode === null && daemon.signalCode === null) {
      const exited = once(daemon, 'exit');
      daemon.kill('SIGTERM');
      await exited;
    }
    await rm(dir, { recursive: true, force: true });
  });

  async function start(passwordFile: string): Promise<void> {
    const { username, ipmi, redfish } = at.part;
    const host = {
      kind: 'bmc',
      username,
      password_file: passwordFile,
      redfish: { url: redfish.url, fingerprint: redfish.fingerprint },
      ipmi: { ...ipmi, cipher_suites: [3] },
    };
    const config = {
      profile: 'sim',
      node: { hostname: 'real-host' },
      state_dir: 'state',
      catalogue: { subnets: { net1: { cidr: '10.9.0.0/24' } }, flavors: { whole: { vcpus: 2, memory_mib: 64 } } },
      host,
    };
    await writeFile(join(dir, 'config.yaml'), JSON.stringify(config));
    const argv = [join(root, 'soc-daemon/main.ts'), '--config', join(dir, 'config.yaml')];
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

  async function dpuctl(...words: string[]): Promise<string> {
    const argv = [join(root, 'soc-daemon/cli/main.ts'), '--socket', join(dir, 'state/rest.sock'), '--no-progress'];
    return (await promisify(execFile)(process.execPath, [...argv, ...words], { timeout: 60_000 })).stdout;
  }
  const node = async () => JSON.parse(await dpuctl('node', '-o', 'json')) as Record<string, unknown>;

  it('knows the host by it, and switches it on and off', { timeout: 120_000 }, async () => {
    await start(at.part.passwordFile);
    expect(await node()).toMatchObject({ serial_number: 'SN-TEST-1', total_cpu: 2, total_mem: 64, host_power: 'off' });
    await dpuctl(
      'instance',
      'build',
      '--name',
      'one',
      '--flavor',
      'whole',
      '--image',
      'demo',
      '--network',
      'subnet=net1',
    );
    await at.serial.until('this is disk a');
    expect(await node()).toMatchObject({ host_power: 'on', ready: true });
    await dpuctl('instance', 'destroy', 'one');
    expect((await at.machine.qmp.execute('query-status')).status).toBe('prelaunch');
  });

  it('is not ready, with the reason, where the BMC lets it not in', { timeout: 60_000 }, async () => {
    const wrong = join(dir, 'wrong');
    await writeFile(wrong, 'not-the-password\n', { mode: 0o600 });
    await start(wrong);
    await eventually('the reason', async () =>
      JSON.stringify((await node()).not_ready_reasons).includes('bmc-unreachable'),
    );
    expect(await node()).toMatchObject({ ready: false, host_power: 'unknown' });
  });
});
