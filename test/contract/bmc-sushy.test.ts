import { execFileSync, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSystem, waitForPower } from '../../packages/redfish-client/src/index.ts';
import { type BmcBench, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';

const python = '/usr/bin/python3';
const SYSTEM = '/redfish/v1/Systems/1';

function haveSushy(): boolean {
  try {
    execFileSync(python, ['-W', 'ignore', '-c', 'import sushy'], { stdio: 'ignore', timeout: 60_000 });
    return true;
  } catch {
    if (process.env.CI) throw new Error('stock sushy on the virtual DPU needs the Debian package python3-sushy');
    process.stderr.write('stock sushy on the virtual DPU: NOT RUN, not installed: python3-sushy\n');
    return false;
  }
}

type Answer = Readonly<Record<string, unknown>>;

/** Stock sushy in a process of its own, logged in. */
function startSushy({ part, password }: BmcBench) {
  const ca = part.redfish.certificateFile;
  const script = fileURLToPath(new URL('python/bmc_sushy.py', import.meta.url));
  const child = spawn(python, ['-W', 'ignore', script], {
    // requests takes these before the CA it is given.
    env: { ...process.env, REQUESTS_CA_BUNDLE: ca, CURL_CA_BUNDLE: ca, NO_PROXY: '127.0.0.1' },
  });
  let errors = '';
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-3000);
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.stdin.write(`${JSON.stringify({ url: part.redfish.url, username: part.username, password, ca })}\n`);
  return {
    async ask(command: Answer): Promise<Answer> {
      child.stdin.write(`${JSON.stringify(command)}\n`);
      const { value, done } = await lines.next();
      if (done === true) throw new Error(`sushy ended: ${errors}`);
      return JSON.parse(value) as Answer;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await exited;
    },
  };
}

describe.skipIf(!haveBmcPrograms('stock sushy on the virtual DPU') || !haveSushy())(
  'stock sushy on the virtual DPU',
  () => {
    let at: BmcBench;
    beforeAll(async () => {
      at = await startBmcBench();
    }, 60_000);
    afterAll(() => at?.close());

    it('takes inventory, power and boot device', { timeout: 120_000 }, async () => {
      await using sushy = startSushy(at);
      expect(await sushy.ask({ do: 'look' })).toMatchObject({
        uuid: at.machine.host.uuid,
        serial: 'SN-TEST-1',
        power: 'Off',
        resets: ['ForceOff', 'ForceRestart', 'GracefulRestart', 'GracefulShutdown', 'On'],
        targets: ['Hdd', 'None', 'Pxe', 'UefiBootNext'],
        boot: ['Disabled', 'None'],
        cores: [2],
        macs: ['02:00:00:00:00:01'],
        drives: [
          ['a', 1024 * 1024],
          ['b', 1024 * 1024],
        ],
        bios: { SriovEnabled: true },
        chassis: ['SN-TEST-1'],
        managers: ['1.0.0'],
      });
      await sushy.ask({ do: 'reset', type: 'On' });
      await at.serial.until('this is disk a');
      expect(await sushy.ask({ do: 'look' })).toMatchObject({ power: 'On' });
      await sushy.ask({ do: 'boot', target: 'Pxe', enabled: 'Once' });
      expect(await sushy.ask({ do: 'look' })).toMatchObject({ boot: ['Once', 'Pxe'] });
      await sushy.ask({ do: 'boot', target: 'Hdd', enabled: 'Continuous' });
      await sushy.ask({ do: 'reset', type: 'GracefulShutdown' });
      await waitForPower(at.redfish, SYSTEM, 'Off');
      expect(await sushy.ask({ do: 'look' })).toMatchObject({ power: 'Off', boot: ['Continuous', 'Hdd'] });
      await sushy.ask({ do: 'reset', type: 'On' });
      await sushy.ask({ do: 'reset', type: 'ForceOff' });
      expect((await readSystem(at.redfish, SYSTEM)).powerState).toBe('Off');
    });
  },
);
