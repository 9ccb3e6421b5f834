import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLog } from '../../core/ports/log.ts';
import { openBmcHost } from '../../drivers/power/open.ts';
import { systemClock } from '../../kit/clock.ts';
import { type BmcBench, haveBmcPrograms, startBmcBench } from '../support/bmc-bench.ts';
import { rejection } from './samples.ts';

describe.skipIf(!haveBmcPrograms('a BMC without its host'))('a BMC without its host', () => {
  let at: BmcBench;
  beforeAll(async () => {
    at = await startBmcBench();
    await at.machine.kill();
  }, 60_000);
  afterAll(() => at?.close());

  it('answers, and does not guess the power', async () => {
    const { body } = await at.redfish.get('/redfish/v1/Systems/1');
    expect(body).toMatchObject({ PowerState: null, Status: { Health: 'Critical' }, SerialNumber: 'SN-TEST-1' });
    const { part, password } = at;
    const common = {
      kind: 'bmc',
      username: part.username,
      hardware: {},
      call_timeout_s: 5,
      power_timeout_s: 1,
    } as const;
    const log = { clock: systemClock, log: silentLog, password };
    const { url, fingerprint } = part.redfish;
    const redfish = openBmcHost({ host: { ...common, redfish: { url, fingerprint } }, ...log });
    expect(await redfish.power.getPower()).toBe('unknown');
    await rejection(redfish.power.powerOn(), 'unavailable');
    await rejection(redfish.power.reset(), 'bad_state');
    const ipmi = openBmcHost({ host: { ...common, ipmi: { ...part.ipmi, cipher_suites: [3] } }, ...log });
    await rejection(ipmi.power.getPower(), 'hardware');
    await Promise.all([redfish.close(), ipmi.close()]);
  });
});
