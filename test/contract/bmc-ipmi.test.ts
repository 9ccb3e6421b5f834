import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  chassisControl,
  chassisIdentify,
  getBootFlags,
  getChassisStatus,
  getSystemGuid,
  openSol,
  readFru,
  readSdrRepository,
  readSel,
  setBootOverride,
} from '../../packages/node-ipmi/src/index.ts';
import { field, tool } from '../../packages/node-ipmi/test/ipmi-sim.ts';
import { bootStateOf, patch, readSystem, setBoot, setPower } from '../../packages/redfish-client/src/index.ts';
import { bmcFiles } from '../../virtual-dpu/bmc/files.ts';
import { bmcAlive, startBmc, stopBmc } from '../../virtual-dpu/bmc/part.ts';
import { endProcess, isAlive, markedProcesses, startTime } from '../../virtual-dpu/process.ts';
import { type BmcBench, eventually, haveBmcPrograms, openSerial, startBmcBench } from '../support/bmc-bench.ts';

const SYSTEM = '/redfish/v1/Systems/1';

describe.skipIf(!haveBmcPrograms('IPMI of the virtual DPU'))('IPMI of the virtual DPU', () => {
  let at: BmcBench;
  beforeAll(async () => {
    at = await startBmcBench();
  }, 60_000);
  afterAll(() => at?.close());
  beforeEach(async () => {
    await at.rules();
    await setPower(at.redfish, SYSTEM, 'off');
    at.serial.clear(); // what a boot of the test before has said
    await setBoot(at.redfish, SYSTEM, { enabled: 'Disabled' });
  });

  const isOn = async (): Promise<boolean> => (await getChassisStatus(at.ipmi)).powerOn;
  const redfishPower = async () => (await readSystem(at.redfish, SYSTEM)).powerState;
  const ipmitool = (...words: string[]) =>
    tool({ port: at.part.ipmi.port, passwordFile: at.part.passwordFile, suite: 3 }, ...words);

  it('switches the same machine, by every word of chassis control', { timeout: 60_000 }, async () => {
    await chassisControl(at.ipmi, 'on');
    await at.serial.until('this is disk a');
    expect([await isOn(), await redfishPower()]).toEqual([true, 'On']);
    await chassisControl(at.ipmi, 'reset');
    await at.serial.until('this is disk a');
    await chassisControl(at.ipmi, 'cycle');
    await at.serial.until('this is disk a');
    await chassisControl(at.ipmi, 'soft');
    await eventually('off', async () => !(await isOn()));
    expect(await redfishPower()).toBe('Off');
    await chassisControl(at.ipmi, 'on');
    await chassisControl(at.ipmi, 'off');
    expect([await isOn(), await redfishPower()]).toEqual([false, 'Off']);
    expect(await ipmitool('power', 'status')).toContain('is off');
  });

  it('shares the boot override with Redfish', async () => {
    await setBootOverride(at.ipmi, { device: 'pxe' });
    expect(bootStateOf(await readSystem(at.redfish, SYSTEM))).toMatchObject({ enabled: 'Once', target: 'Pxe' });
    await setBoot(at.redfish, SYSTEM, { target: 'Hdd' });
    expect((await getBootFlags(at.ipmi)).device).toBe('disk');
    await setBootOverride(at.ipmi, { device: 'none' });
    expect(bootStateOf(await readSystem(at.redfish, SYSTEM)).enabled).toBe('Disabled');
  });

  it('tells the serial number, the sensor and the uuid, to ipmitool too', async () => {
    expect((await readFru(at.ipmi)).product?.serialNumber).toBe('SN-TEST-1');
    const fru = await ipmitool('fru', 'print', '0');
    expect([field(fru, 'Product Serial'), field(fru, 'Board Serial')]).toEqual(['SN-TEST-1', 'SN-TEST-1']);
    expect((await readSdrRepository(at.ipmi)).map((record) => 'name' in record && record.name)).toContain('Inlet');
    expect(await ipmitool('sdr')).toMatch(/Inlet\s+\| 25 degrees C/);
    expect(await getSystemGuid(at.ipmi)).toBeDefined();
  });

  it('logs changes of power, whoever made them', { timeout: 60_000 }, async () => {
    const entries = async () => (await Array.fromAsync(readSel(at.ipmi))).length;
    const before = await entries();
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk a');
    at.serial.write('O');
    await eventually('two entries', async () => (await entries()) === before + 2);
    const text = (await ipmitool('sel', 'list')).trim().split('\n').slice(-2).join('\n');
    expect(text).toMatch(/S0\/G0: working.*\n.*S5\/G2: soft-off/);
  });

  it('has the indicator lit for both', async () => {
    await chassisIdentify(at.ipmi, 5);
    expect((await readSystem(at.redfish, SYSTEM)).raw.body.IndicatorLED).toBe('Blinking');
    await patch(at.redfish, SYSTEM, { IndicatorLED: 'Off' });
  });

  it('carries the serial line over LAN, beside other readers', { timeout: 60_000 }, async () => {
    const sol = await openSol(at.ipmi, { takeOver: true });
    let text = '';
    sol.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    sol.on('error', () => {});
    await chassisControl(at.ipmi, 'on');
    await eventually('boot text over LAN', async () => text.includes('this is disk a'));
    await at.serial.until('this is disk a');
    sol.write('hello over LAN');
    await eventually('echo over LAN', async () => text.includes('hello over LAN'));
    await at.serial.until('hello over LAN');
    sol.destroy();
  });

  it('refuses power by rules', async () => {
    await at.rules({ power: 'refuses' });
    await expect(chassisControl(at.ipmi, 'on')).rejects.toMatchObject({ code: 'unspecified' });
    await at.rules({ power: 'stuck' });
    await chassisControl(at.ipmi, 'on');
    expect(await isOn()).toBe(false);
  });

  it('is whole again after any of its processes was killed, with its ports, boot order and power', {
    timeout: 90_000,
  }, async () => {
    await setBoot(at.redfish, SYSTEM, { option: 'Boot0004', enabled: 'Continuous' });
    await setPower(at.redfish, SYSTEM, 'on');
    await at.serial.until('this is disk b');
    let part = at.part;
    for (const victim of ['ipmiSim', 'service'] as const) {
      await endProcess({ pid: part.pids[victim], started: startTime(part.pids[victim]) ?? '' }, { signal: 'SIGKILL' });
      expect(await bmcAlive(at.context)).toBe(false);
      part = await startBmc(at.context);
      expect(await bmcAlive(at.context)).toBe(true);
      expect({ ...part, pids: {} }).toEqual({ ...at.part, pids: {} });
      expect([await isOn(), await redfishPower()]).toEqual([true, 'On']);
      expect(bootStateOf(await readSystem(at.redfish, SYSTEM)).order[0]).toBe('Boot0004');
    }
    const serial = await openSerial(`${at.machine.stateDir}/run/bmc-serial.sock`);
    serial.write('still there');
    await serial.until('still there');
    serial.close();
  });

  it('leaves nothing behind, killed or not', { timeout: 60_000 }, async () => {
    const { ipmiSim } = (await startBmc(at.context)).pids;
    await endProcess({ pid: ipmiSim, started: startTime(ipmiSim) ?? '' }, { signal: 'SIGKILL' });
    await stopBmc(at.context);
    expect(await markedProcesses(at.machine.stateDir)).toEqual([]);
    const name = basename(bmcFiles(at.machine.stateDir).terminal);
    expect((await readdir('/var/lock')).filter((entry) => entry.includes(name))).toEqual([]);
    expect((await readdir(join(at.machine.stateDir, 'run'))).filter((entry) => entry.startsWith('bmc-'))).toEqual([]);
    await startBmc(at.context);
  });

  it('starts nothing twice', async () => {
    const [first, second] = [await startBmc(at.context), await startBmc(at.context)];
    expect(second).toEqual(first);
    expect(isAlive({ pid: first.pids.service, started: startTime(first.pids.service) ?? '' })).toBe(true);
  });
});
