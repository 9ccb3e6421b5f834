import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { asId, type FunctionId } from '../../core/units.ts';
import { type BmcHost, openBmcHost } from '../../drivers/power/open.ts';
import type { HostSettings } from '../../drivers/power/settings.ts';
import { systemClock } from '../../kit/clock.ts';
import { loadConfig } from '../../kit/config.ts';
import { type BmcBench, eventually, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';
import { powerControllerContract } from './power-controller.suite.ts';
import { rejection } from './samples.ts';

const SYSTEM = '/redfish/v1/Systems/1';
const READS = { path: '/redfish/v1/*', method: 'GET' };
const functionId = asId<FunctionId>('f-boot');

let at: BmcBench;
const opened: BmcHost[] = [];

/** The settings that reach the virtual DPU's BMC by a protocol. */
function settings(by: 'redfish' | 'ipmi' | 'both', more: Partial<HostSettings> = {}): HostSettings {
  const { part } = at;
  const { url, fingerprint } = part.redfish;
  return {
    kind: 'bmc',
    username: part.username,
    hardware: by === 'ipmi' ? { cpus: 2, memory_mib: 64 } : {},
    call_timeout_s: 5,
    power_timeout_s: 30,
    ...(by === 'ipmi' ? {} : { redfish: { url, fingerprint } }),
    ...(by === 'redfish' ? {} : { ipmi: { ...part.ipmi, cipher_suites: [3] } }),
    ...more,
  };
}

function open(host: HostSettings, password = at.password): BmcHost {
  const one = openBmcHost({ host, password, clock: systemClock, log: silentLog });
  opened.push(one);
  return one;
}

/** The machine off, the BMC doing as it is told. */
async function calm(): Promise<void> {
  await at.rules();
  const { power } = open(settings('redfish'));
  await power.powerOff('hard', 0);
  await at.redfish.request('PATCH', SYSTEM, { body: { Boot: { BootSourceOverrideEnabled: 'Disabled' } } });
  at.serial.clear();
}

async function closeAll(): Promise<void> {
  for (const one of opened.splice(0)) await one.close();
}

describe.skipIf(!haveBmcPrograms('host power on a real BMC'))('host power on a real BMC', () => {
  beforeAll(async () => {
    at = await startBmcBench();
  }, 60_000);
  afterAll(() => at?.close());

  for (const by of ['redfish', 'ipmi'] as const) {
    powerControllerContract(by, async () => {
      await calm();
      return {
        power: open(settings(by)).power,
        ignoreSoftOff: () => at.rules({ power: 'ignores-soft' }),
        booted: () => at.serial.until('this is disk a'),
        reopen: async () => open(settings(by)).power,
        close: closeAll,
      };
    });
  }

  describe('the driver', () => {
    beforeEach(calm);
    afterEach(closeAll);

    it('tells the hardware, each fact from whoever knows it', async () => {
      const seen = await open(settings('both')).power.inventory();
      expect(seen).toEqual({
        serialNumber: 'SN-TEST-1',
        model: 'virtual-server',
        manufacturer: 'VDPU',
        cpus: 2,
        memoryMib: 64,
        nics: [{ name: 'fn-n', mac: '02:00:00:00:00:01' }],
        disks: ['a', 'b'].map((name) => ({ name: `fn-${name}`, serialNumber: name, sizeBytes: 1024 * 1024 })),
      });
      await at.rules({ missing: [`${SYSTEM}/Processors*`, `${SYSTEM}/Memory*`, `${SYSTEM}/Storage*`] });
      expect(await open(settings('both')).power.inventory()).toEqual({ ...seen, disks: [] });
      const byIpmi = open(settings('ipmi')).power;
      expect(await byIpmi.inventory()).toEqual({ ...seen, nics: [], disks: [] });
    });

    it('starts the host from the disk at an address, for good or once', { timeout: 60_000 }, async () => {
      const { power } = open(settings('redfish'));
      await power.setNextBoot({ functionId, bdf: '0000:04:00.0' });
      await power.setNextBoot({ functionId, bdf: '0000:04:00.0' });
      await power.powerOn();
      await at.serial.until('this is disk b');
      await power.reset();
      await at.serial.until('this is disk b');
      await power.setNextBoot({ functionId, bdf: '0000:03:00.0', lasts: 'next' });
      await power.reset();
      await at.serial.until('this is disk a');
      await at.redfish.request('PATCH', SYSTEM, {
        body: { Boot: { BootSourceOverrideTarget: 'Pxe', BootSourceOverrideEnabled: 'Continuous' } },
      });
      await power.setNextBoot({ functionId, bdf: '0000:03:00.0' });
      await power.reset();
      await at.serial.until('this is disk a');
    });

    it('says that it cannot tell disks apart', async () => {
      const { power } = open(settings('redfish'));
      await rejection(power.setNextBoot({ functionId, bdf: null }), 'unsupported');
      await rejection(power.setNextBoot({ functionId, bdf: '0000:0f:00.0' }), 'unsupported');
      const byIpmi = open(settings('ipmi')).power;
      await rejection(byIpmi.setNextBoot({ functionId, bdf: '0000:03:00.0' }), 'unsupported');
      await at.rules({ persona: 'supermicro' });
      await rejection(power.setNextBoot({ functionId, bdf: '0000:03:00.0' }), 'unsupported');
    });

    it('is denied with a wrong password, and by another certificate', async () => {
      for (const by of ['redfish', 'ipmi'] as const) {
        const { power } = open(settings(by), 'wrong');
        await rejection(power.getPower(), 'denied');
        await rejection(power.powerOn(), 'denied');
        await rejection(power.inventory(), 'denied');
      }
      const stranger = { url: at.part.redfish.url, fingerprint: 'ab'.repeat(32) };
      await rejection(open(settings('redfish', { redfish: stranger })).power.getPower(), 'denied');
    });

    it('says that a BMC is away, silent or broken, and never hangs', { timeout: 60_000 }, async () => {
      const nobody = { url: 'https://127.0.0.1:1', fingerprint: at.part.redfish.fingerprint };
      await rejection(open(settings('redfish', { redfish: nobody })).power.powerOn(), 'unavailable');
      const silent = { ...at.part.ipmi, port: 1, cipher_suites: [3] as [3] };
      const away = settings('ipmi', { ipmi: silent, call_timeout_s: 1 });
      await rejection(open(away).power.getPower(), 'unavailable');
      const { power } = open(settings('redfish', { call_timeout_s: 1 }));
      await at.rules({ faults: [{ ...READS, does: { kind: 'hang' } }] });
      await rejection(power.getPower(), 'unavailable');
      await at.rules({ faults: [{ ...READS, does: { kind: 'answer', status: 503 } }] });
      await rejection(power.getPower(), 'unavailable');
    });

    it('gives up a silent BMC as soon as its caller does', async () => {
      await at.rules({ faults: [{ ...READS, does: { kind: 'hang' } }] });
      const abort = new AbortController();
      const reason = new Error('enough');
      const waiting = open(settings('redfish')).power.powerOn(abort.signal);
      setImmediate(() => abort.abort(reason));
      await expect(waiting).rejects.toBe(reason);
    });

    it('bears a BMC that is busy, slow, or loses its answer', { timeout: 60_000 }, async () => {
      const reset = { method: 'POST', path: `${SYSTEM}/Actions/ComputerSystem.Reset` };
      const faults = [
        { ...READS, times: 2, does: { kind: 'answer', status: 503, headers: { 'Retry-After': '0' } } },
        { ...reset, times: 1, does: { kind: 'answer', status: 503 } },
        { ...reset, times: 1, does: { kind: 'reset', after: true } },
        { ...READS, does: { kind: 'slow', ms: 5 } },
      ] as const;
      await at.rules({ faults });
      const { power } = open(settings('redfish', { power_timeout_s: 3 }));
      await power.powerOn();
      expect(await power.getPower()).toBe('on');
    });

    it('finds the hardware at fault where the power does not follow', { timeout: 60_000 }, async () => {
      await at.rules({ power: 'stuck' });
      for (const by of ['redfish', 'ipmi'] as const) {
        const { power } = open(settings(by, { power_timeout_s: 1 }));
        await rejection(power.powerOn(), 'hardware');
        expect(await power.getPower()).toBe('off');
      }
    });

    it('opens the console, to one at a time', { timeout: 60_000 }, async () => {
      const { power, console: line } = open(settings('both'));
      if (line === null) throw new Error('no console');
      const stream = await line.open(AbortSignal.timeout(20_000));
      let text = '';
      stream.on('data', (chunk: Buffer) => {
        text += chunk.toString('latin1');
      });
      const other = open(settings('ipmi')).console;
      await rejection(other?.open(AbortSignal.timeout(20_000)) ?? Promise.resolve(), 'busy');
      await power.powerOn();
      await eventually('the boot text', async () => text.includes('this is disk a'), 25_000);
      stream.write('typed');
      await eventually('the echo', async () => text.includes('typed'), 25_000);
      stream.destroy();
      expect(open(settings('redfish')).console).toBeNull();
    });
  });
});

describe('the settings of the host', () => {
  it('are checked', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'power-config-'));
    const load = async (host: object) => {
      const file = join(dir, 'config.yaml');
      const node = { hostname: 'n1' };
      await writeFile(file, JSON.stringify({ profile: 'sim', node, state_dir: dir, host: { kind: 'bmc', ...host } }));
      const config = loadConfig(file);
      openBmcHost({ host: config.host, password: 'x', clock: systemClock, log: silentLog });
      return config.host;
    };
    const ipmi = { address: '192.0.2.1' };
    try {
      expect((await load({ username: 'u', ipmi })).ipmi).toEqual({ ...ipmi, port: 623, cipher_suites: [17, 3] });
      for (const wrong of [
        { username: 'u' },
        { ipmi },
        { username: 'u', ipmi: { ...ipmi, cipher_suites: [0] } },
        { username: 'u', redfish: { url: 'http://192.0.2.1' } },
        { username: 'u', redfish: { url: 'https://u:p@192.0.2.1' } },
        { username: 'u', redfish: { url: 'https://192.0.2.1', fingerprint: 'ab'.repeat(32), ca_file: 'ca.pem' } },
      ]) {
        await rejection(load(wrong), 'invalid');
      }
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });
});
