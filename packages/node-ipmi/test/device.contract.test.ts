import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  chassisControl,
  chassisIdentify,
  createIpmiClient,
  getBootFlags,
  getChassisStatus,
  getDeviceId,
  getFruInfo,
  getLanParameters,
  getSdrRepositoryInfo,
  getSelInfo,
  getSensorThresholds,
  getSystemGuid,
  type IpmiClient,
  readFru,
  readFruData,
  readSdrRepository,
  readSel,
  readSensor,
  type SensorRecord,
  setBootOverride,
} from '../src/index.ts';
import { field, havePeers, type IpmiSim, startIpmiSim } from './ipmi-sim.ts';

describe.skipIf(!havePeers())('ipmi_sim, as ipmitool sees it', () => {
  let sim: IpmiSim;
  let bmc: IpmiClient;

  beforeAll(async () => {
    sim = await startIpmiSim();
    bmc = createIpmiClient(sim.options());
  });
  afterAll(async () => {
    await bmc?.close();
    await sim?.stop();
  });

  const sensors = async (): Promise<readonly SensorRecord[]> =>
    (await readSdrRepository(bmc)).filter((record) => record.kind === 'full' || record.kind === 'compact');

  it('device id', async () => {
    const said = await sim.tool('mc', 'info');
    const id = await getDeviceId(bmc);
    expect({
      'Device ID': `${id.deviceId}`,
      'Device Revision': `${id.deviceRevision}`,
      'Firmware Revision': id.firmwareRevision,
      'IPMI Version': id.ipmiVersion,
      'Manufacturer ID': `${id.manufacturerId}`,
      'Device Available': id.available ? 'yes' : 'no',
      'Provides Device SDRs': id.providesDeviceSdrs ? 'yes' : 'no',
    }).toEqual(
      Object.fromEntries(
        [
          'Device ID',
          'Device Revision',
          'Firmware Revision',
          'IPMI Version',
          'Manufacturer ID',
          'Device Available',
          'Provides Device SDRs',
        ].map((key) => [key, field(said, key)]),
      ),
    );
    expect(field(said, 'Product ID')).toMatch(`${id.productId} `);
    const names = [
      ['sensors', 'Sensor Device'],
      ['sdrRepository', 'SDR Repository Device'],
      ['sel', 'SEL Device'],
      ['fru', 'FRU Inventory Device'],
      ['ipmbEventReceiver', 'IPMB Event Receiver'],
      ['ipmbEventGenerator', 'IPMB Event Generator'],
      ['bridge', 'Bridge'],
      ['chassis', 'Chassis Device'],
    ] as const;
    for (const [key, name] of names) expect(said.includes(`    ${name}\n`), name).toBe(id.supports[key]);
  });

  it('system GUID', async () => {
    const guid = await getSystemGuid(bmc);
    const said = (await sim.tool('raw', '0x06', '0x37')).replaceAll(/\s/g, '');
    expect(guid.toString('hex')).toBe(said);
    expect((await bmc.session()).bmcGuid.length).toBe(16);
  });

  it.each([
    ['on', ['power 1']],
    // Off, and on again a moment later.
    ['cycle', ['power 0', 'power 1']],
    ['reset', ['reset 1']],
    ['soft', ['shutdown 1']],
    ['off', ['power 0']],
  ] as const)('chassis control %s', async (action, expected) => {
    const log = async (work: () => Promise<unknown>) => {
      const before = (await sim.chassisLog()).length;
      await work();
      let lines: readonly string[] = [];
      while (lines.length < expected.length) {
        await getDeviceId(bmc);
        lines = (await sim.chassisLog()).slice(before);
      }
      return lines;
    };
    expect(await log(() => chassisControl(bmc, action))).toEqual(expected);
    const status = await getChassisStatus(bmc);
    const said = await sim.tool('chassis', 'status');
    expect(status.powerOn).toBe(action !== 'off');
    expect(field(said, 'System Power')).toBe(status.powerOn ? 'on' : 'off');
    expect(field(said, 'Power Restore Policy')).toBe(status.restorePolicy);
    expect(field(said, 'Main Power Fault')).toBe(`${status.powerFault}`);
    expect(field(said, 'Chassis Intrusion')).toBe(status.intrusion ? 'active' : 'inactive');
    expect(await log(() => sim.tool('power', action))).toEqual(expected);
  });

  it('identify', async () => {
    await chassisIdentify(bmc, 5);
    expect((await sim.chassisLog()).at(-1)).toBe('identify 5 0');
    await sim.tool('chassis', 'identify', '6');
    expect((await sim.chassisLog()).at(-1)).toBe('identify 6 0');
    await chassisIdentify(bmc, 'on');
    expect((await sim.chassisLog()).at(-1)).toBe('identify 0 1');
    await sim.tool('chassis', 'identify', 'force');
    expect((await sim.chassisLog()).at(-1)).toBe('identify 0 1');
  });

  it('what it does not do for us, it does not do for ipmitool: diag', async () => {
    await expect(chassisControl(bmc, 'diag')).rejects.toMatchObject({
      code: 'invalid-data-field',
      completionCode: 0xcc,
    });
    await expect(sim.tool('power', 'diag')).rejects.toThrow('Invalid data field in request');
  });

  it.each([
    ['pxe', 'Force PXE'],
    ['disk', 'Force Boot from default Hard-Drive'],
    ['cdrom', 'Force Boot from CD/DVD'],
    ['bios-setup', 'Force Boot into BIOS Setup'],
    ['none', 'No override'],
  ] as const)('boot override %s', async (device, words) => {
    await setBootOverride(bmc, { device });
    const said = await sim.tool('chassis', 'bootparam', 'get', '5');
    expect(said).toContain(`Boot Device Selector : ${words}`);
    const flags = await getBootFlags(bmc);
    expect(flags.device).toBe(device);
    expect(said).toContain(`data: ${flags.raw.toString('hex')}`);
    // ipmi_sim keeps the device and drops the valid bit.
    expect(said.includes('Boot Flag Valid')).toBe(flags.valid);
  });

  it('FRU inventory', async () => {
    const said = await sim.tool('fru', 'print', '0');
    const fru = await readFru(bmc);
    expect(fru.problems).toEqual([]);
    const { chassis, board, product } = fru;
    const ours = {
      'Chassis Part Number': chassis?.partNumber,
      'Chassis Serial': chassis?.serialNumber,
      'Chassis Extra': chassis?.custom[0]?.text,
      'Board Mfg': board?.manufacturer,
      'Board Product': board?.productName,
      'Board Serial': board?.serialNumber,
      'Board Part Number': board?.partNumber,
      'Product Manufacturer': product?.manufacturer,
      'Product Name': product?.productName,
      'Product Part Number': product?.partNumber,
      'Product Version': product?.version,
      'Product Serial': product?.serialNumber,
      'Product Asset Tag': product?.assetTag,
      'Product Extra': product?.custom[0]?.text,
    };
    for (const [key, value] of Object.entries(ours)) expect(value?.trimEnd(), key).toBe(field(said, key));
    expect(Date.parse(field(said, 'Board Mfg Date') ?? '')).toBe(board?.manufactured?.getTime());
    expect(fru.records.map(({ type, data }) => [type, data.length])).toEqual([
      [0xc0, 3],
      [0xc1, 2],
    ]);
    expect((await getFruInfo(bmc)).size).toBeGreaterThan(200);
    // The size it names is more than it can read: reading all fails, the areas do not.
    await expect(readFruData(bmc)).rejects.toMatchObject({ code: 'unspecified' });
    await expect(readFru(bmc, 9)).rejects.toMatchObject({ code: 'invalid-data-field' });
  });

  it('sensors, their records, readings and thresholds', async () => {
    const rows = (await sim.tool('sensor'))
      .trim()
      .split('\n')
      .map((line) => line.split('|').map((cell) => cell.trim()));
    const records = await sensors();
    expect(records.map(({ name }) => name)).toEqual(rows.map(([name]) => name));
    expect((await getSdrRepositoryInfo(bmc)).recordCount).toBe(records.length);
    for (const [at, record] of records.entries()) {
      const [, value, unit, , ...limits] = rows[at] ?? [];
      const reading = await readSensor(bmc, record);
      expect(reading.available).toBe(true);
      if (record.kind !== 'full') {
        expect(unit).toBe('discrete');
        expect([...reading.states]).toEqual([0, 3]);
        continue;
      }
      expect(reading.value?.toFixed(3), record.name).toBe(value);
      expect(record.unit).toBe(unit);
      const thresholds = await getSensorThresholds(bmc, record);
      const {
        lowerNonRecoverable,
        lowerCritical,
        lowerNonCritical,
        upperNonCritical,
        upperCritical,
        upperNonRecoverable,
      } = thresholds;
      const ours = [
        lowerNonRecoverable,
        lowerCritical,
        lowerNonCritical,
        upperNonCritical,
        upperCritical,
        upperNonRecoverable,
      ];
      expect(
        ours.map((limit) => limit?.toFixed(3)),
        record.name,
      ).toEqual(limits);
    }
  });

  it('SEL', async () => {
    const info = await getSelInfo(bmc);
    const said = await sim.tool('sel', 'info');
    expect(field(said, 'Entries')).toBe(`${info.entries}`);
    expect(field(said, 'Free Space')).toBe(`${info.freeBytes} bytes`);
    expect(field(said, 'Version')).toContain(info.version);
    expect(field(said, 'Overflow')).toBe(`${info.overflow}`);
    const rows = (await sim.tool('-v', 'sel', 'list')).split('\n\n').filter((row) => row.includes('SEL Record ID'));
    const entries = await Array.fromAsync(readSel(bmc));
    expect(entries.map(({ kind }) => kind)).toEqual(['event', 'event', 'other']);
    expect(rows).toHaveLength(entries.length);
    for (const [at, entry] of entries.entries()) {
      const row = rows[at] ?? '';
      expect(Number.parseInt(field(row, 'SEL Record ID') ?? '', 16)).toBe(entry.recordId);
      expect(Number.parseInt(field(row, 'Record Type') ?? '', 16)).toBe(entry.recordType);
      if (entry.kind !== 'event') continue;
      expect(field(row, 'Sensor Type')).toBe(entry.sensorTypeName);
      expect(Number.parseInt(field(row, 'Sensor Number') ?? '', 16)).toBe(entry.sensorNumber);
      expect(field(row, 'Event Direction')).toBe(entry.asserted ? 'Assertion Event' : 'Deassertion Event');
      expect(field(row, 'Event Data')).toBe(entry.data.toString('hex'));
    }
  });

  it('LAN parameters', async () => {
    const said = await sim.tool('lan', 'print', '1');
    const lan = await getLanParameters(bmc);
    expect({
      'IP Address': lan.ipAddress,
      'Subnet Mask': lan.subnetMask,
      'MAC Address': lan.macAddress,
      'Default Gateway IP': lan.defaultGateway,
      'Default Gateway MAC': lan.defaultGatewayMac,
      'RMCP+ Cipher Suites': lan.cipherSuites?.join(','),
      'IP Address Source': lan.addressSource === 'unspecified' ? 'Unspecified' : lan.addressSource,
      '802.1q VLAN ID': lan.vlanId === 'off' ? 'Disabled' : `${lan.vlanId}`,
    }).toEqual(
      Object.fromEntries(
        [
          'IP Address',
          'Subnet Mask',
          'MAC Address',
          'Default Gateway IP',
          'Default Gateway MAC',
          'RMCP+ Cipher Suites',
          'IP Address Source',
          '802.1q VLAN ID',
        ].map((key) => [key, field(said, key)]),
      ),
    );
    await sim.tool('lan', 'set', '1', 'ipaddr', '192.0.2.7');
    await sim.tool('lan', 'set', '1', 'netmask', '255.255.255.0');
    expect(await getLanParameters(bmc, { channel: 1 })).toMatchObject({
      ipAddress: '192.0.2.7',
      subnetMask: '255.255.255.0',
    });
  });
});
