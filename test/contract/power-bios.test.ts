/** BIOS settings of a host by the Redfish service of the virtual DPU's BMC, in every maker's manner. */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { openBmcHost } from '../../drivers/power/open.ts';
import { systemClock } from '../../kit/clock.ts';
import { bmcFiles } from '../../virtual-dpu/bmc/files.ts';
import { startBmc, stopBmc } from '../../virtual-dpu/bmc/part.ts';
import { PERSONAS, type PersonaName } from '../../virtual-dpu/bmc/personas.ts';
import { type BmcBench, eventually, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';
import { rejection } from './samples.ts';

describe.skipIf(!haveBmcPrograms('BIOS settings by Redfish'))('BIOS settings by Redfish', () => {
  let at: BmcBench;
  beforeAll(async () => {
    at = await startBmcBench();
  }, 60_000);
  afterAll(() => at?.close());

  function open() {
    const { username, redfish, ipmi } = at.part;
    const { url, fingerprint } = redfish;
    return openBmcHost({
      host: {
        kind: 'bmc',
        username,
        hardware: {},
        call_timeout_s: 5,
        power_timeout_s: 30,
        redfish: { url, fingerprint },
        ipmi: { ...ipmi, cipher_suites: [3] },
      },
      password: at.password,
      clock: systemClock,
      log: silentLog,
    });
  }

  it.each(Object.keys(PERSONAS) as PersonaName[])(
    'are read, asked for, kept by a BMC that is restarted, and in force after the next start: %s',
    { timeout: 60_000 },
    async (persona) => {
      await at.rules({ persona });
      const host = open();
      const { power, bios } = host;
      try {
        const first = await bios?.read();
        expect(first?.now).toMatchObject({ SlotPower: true, SystemSerialNumber: 'SN-TEST-1' });
        expect([...(first?.readOnly ?? [])]).toEqual(['SystemSerialNumber']);
        const wanted = Number(first?.now.NumaNodes) + 1;
        await bios?.write({ NumaNodes: wanted, OptionRoms: false });
        expect((await bios?.read())?.now.NumaNodes).toBe(wanted - 1);
        expect((await bios?.read())?.next).toMatchObject({ NumaNodes: wanted, OptionRoms: false, SlotPower: true });
        expect(JSON.parse(await readFile(bmcFiles(at.machine.stateDir).stateFile, 'utf8'))).toMatchObject({
          biosPending: { NumaNodes: wanted, OptionRoms: false },
        });
        await power.powerOn();
        await eventually('the settings are in force', async () => {
          const now = (await bios?.read())?.now;
          return now?.NumaNodes === wanted && now.OptionRoms === false;
        });
        await bios?.write({ OptionRoms: true });
        await power.powerOff('hard', 0);
        await power.powerOn();
        await eventually('and back', async () => (await bios?.read())?.now.OptionRoms === true);
        await power.powerOff('hard', 0);
      } finally {
        await host.close();
      }
    },
  );

  it('outlive a restart of the BMC while they wait', { timeout: 60_000 }, async () => {
    await at.rules();
    const host = open();
    await host.bios?.write({ SriovEnabled: false });
    await host.close();
    await stopBmc(at.context);
    await startBmc(at.context);
    const again = open();
    expect(await again.bios?.read()).toMatchObject({ now: { SriovEnabled: true }, next: { SriovEnabled: false } });
    await again.bios?.write({ SriovEnabled: true });
    expect(await again.bios?.read()).toMatchObject({ next: { SriovEnabled: true } });
    await again.close();
  });

  it('that can’t be set are refused with a code', { timeout: 30_000 }, async () => {
    await at.rules();
    const host = open();
    const write = (settings: Readonly<Record<string, string | number>>) =>
      host.bios?.write(settings) ?? Promise.resolve();
    await rejection(write({ SystemSerialNumber: 'mine' }), 'hardware');
    await rejection(write({ NumaNodes: 'many' }), 'hardware');
    await rejection(write({ NoSuchSetting: 1 }), 'unsupported');
    await host.close();
  });
});
