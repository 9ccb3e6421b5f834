import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../test/support/seeded-random.ts';
import {
  chassisControl,
  getBootFlags,
  getChassisStatus,
  getDeviceId,
  getFruInfo,
  getLanParameters,
  getSdrRepositoryInfo,
  getSelInfo,
  getSensorThresholds,
  getSystemGuid,
  IpmiCompletionError,
  IpmiError,
  type IpmiRequest,
  type IpmiRequester,
  type LanParameters,
  parseSdr,
  readFru,
  readFruData,
  readSdrRepository,
  readSel,
  readSensor,
  type SensorRecord,
} from '../src/index.ts';
import { compactSdr, fullSdr, testFru } from './sdr-images.ts';

type Answer = number | readonly number[] | Buffer;

/** A BMC that answers by a function: data, or a completion code. */
function bmcOf(
  answer: (request: IpmiRequest, data: Buffer) => Answer,
): IpmiRequester & { readonly requests: IpmiRequest[] } {
  const requests: IpmiRequest[] = [];
  return {
    requests,
    async request(request) {
      requests.push(request);
      const result = answer(request, Buffer.from(request.data ?? []));
      if (typeof result === 'number') throw new IpmiCompletionError(result, request.netFn, request.command);
      return Buffer.from(result);
    },
  };
}

const u16 = (value: number): readonly number[] => [value & 0xff, value >> 8];

describe('SDR repository', () => {
  const records = [
    fullSdr({ id: 0x10, number: 1, type: 1, unit: 1, format: 0, m: 1, name: 'Inlet' }),
    compactSdr(0x22, 4, 8, 'PSU'),
    fullSdr({ id: 0x300, number: 7, type: 4, unit: 18, format: 0, m: 6, name: 'A fan' }),
  ];

  /** Answers with at most `limit` bytes, and cancels the reservation at those requests. */
  function repository(limit: number, cancelAt: readonly number[] = []) {
    let reservation = 0;
    let reads = 0;
    return bmcOf(({ command }, data) => {
      if (command === 0x22) {
        reservation += 1;
        return u16(reservation);
      }
      reads += 1;
      if (cancelAt.includes(reads)) reservation += 1;
      const [offset = 0, count = 0] = data.subarray(4);
      if (data.readUInt16LE(0) !== reservation) return 0xc5;
      if (count > limit) return 0xca;
      const id = data.readUInt16LE(2);
      const at = id === 0 ? 0 : records.findIndex((record) => record.readUInt16LE(0) === id);
      const record = records[at];
      if (record === undefined) return 0xcb;
      return Buffer.concat([
        Buffer.from(u16(records[at + 1]?.readUInt16LE(0) ?? 0xffff)),
        record.subarray(offset, offset + count),
      ]);
    });
  }

  it.each([255, 32, 20, 10])('is read from a BMC that returns %i bytes at most', async (limit) => {
    const found = await readSdrRepository(repository(limit));
    expect(found.map(({ raw }) => raw)).toEqual(records);
    expect(found.map((record) => ('name' in record ? record.name : undefined))).toEqual(['Inlet', 'PSU', 'A fan']);
  });

  it('is read though somebody cancels the reservation', async () => {
    const found = await readSdrRepository(repository(32, [2, 5, 6]));
    expect(found.map(({ raw }) => raw)).toEqual(records);
  });

  it('is given up when that goes on for ever, or when the records go in circles', async () => {
    const always = bmcOf(({ command }) => (command === 0x22 ? [1, 0] : 0xc5));
    await expect(readSdrRepository(always)).rejects.toMatchObject({ code: 'reservation-canceled' });
    expect(always.requests.length).toBeLessThan(50);
    const circle = bmcOf(({ command }) => (command === 0x22 ? [1, 0] : [7, 0, 7, 0, 0x51, 0xc0, 0]));
    await expect(readSdrRepository(circle)).rejects.toMatchObject({ code: 'malformed' });
  });

  it('may be empty', async () => {
    expect(await readSdrRepository(bmcOf(({ command }) => (command === 0x22 ? [1, 0] : 0xcb)))).toEqual([]);
  });
});

describe('FRU', () => {
  it.each([
    ['bytes', 1],
    ['words', 2],
  ] as const)('is read by %s', async (_name, unit) => {
    const image = testFru();
    const bmc = bmcOf(({ command }, data) => {
      if (command === 0x10) return [...u16(image.length), unit - 1];
      const at = data.readUInt16LE(1) * unit;
      const count = data.readUInt8(3) * unit;
      if (count > 24) return 0xc8;
      if (at + count > image.length + 1) return 0xc9;
      const piece = image.subarray(at, at + count);
      const even = piece.length % unit === 0 ? piece : Buffer.concat([piece, Buffer.of(0)]);
      return [even.length / unit, ...even];
    });
    expect(await readFruData(bmc)).toEqual(image);
    const fru = await readFru(bmc);
    expect(fru.problems).toEqual([]);
    expect(fru.product?.serialNumber).toBe('SN-0001');
    expect(fru.records.map(({ data }) => [...data])).toEqual([
      [1, 2, 3],
      [4, 5],
    ]);
  });

  it('that returns nothing is not asked for ever', async () => {
    const bmc = bmcOf(({ command }) => (command === 0x10 ? [64, 0, 0] : [0]));
    await expect(readFru(bmc)).rejects.toMatchObject({ code: 'malformed' });
  });
});

describe('LAN parameters', () => {
  it('that a BMC does not have are undefined', async () => {
    const known: Readonly<Record<number, readonly number[]>> = { 3: [192, 0, 2, 9], 4: [2], 20: [0x64, 0x80] };
    const bmc = bmcOf((_request, data) => {
      const value = known[data.readUInt8(1)];
      return value === undefined ? 0x80 : [0x11, ...value];
    });
    const expected: LanParameters = {
      ipAddress: '192.0.2.9',
      addressSource: 'dhcp',
      macAddress: undefined,
      subnetMask: undefined,
      defaultGateway: undefined,
      defaultGatewayMac: undefined,
      vlanId: 100,
      cipherSuites: undefined,
    };
    expect(await getLanParameters(bmc)).toEqual(expected);
    await expect(getLanParameters(bmcOf(() => [0x11, 1]))).rejects.toMatchObject({ code: 'malformed' });
    await expect(getLanParameters(bmcOf(() => 0xd4))).rejects.toMatchObject({ code: 'insufficient-privilege' });
  });
});

describe('sensors', () => {
  const sensor = parseSdr(
    fullSdr({ id: 1, number: 9, type: 1, unit: 1, format: 0, m: 2, name: 'Inlet' }),
  ) as SensorRecord;

  it('that are off, or have nothing to say yet, have no value', async () => {
    for (const flags of [0x80, 0xe0]) {
      const reading = await readSensor(
        bmcOf(() => [40, flags, 0]),
        sensor,
      );
      expect(reading).toMatchObject({ available: false, value: undefined });
    }
  });

  it('say which thresholds are crossed', async () => {
    const bmc = bmcOf(({ command }) => (command === 0x2d ? [40, 0xc0, 0xc0 | 0x18] : [0x09, 1, 2, 3, 4, 5, 6]));
    const reading = await readSensor(bmc, sensor);
    expect(reading).toMatchObject({
      available: true,
      value: 80,
      crossed: new Set(['upperNonCritical', 'upperCritical']),
    });
    expect(await getSensorThresholds(bmc, sensor)).toEqual({ lowerNonCritical: 2, upperNonCritical: 8 });
    expect(bmc.requests.map(({ data }) => data)).toEqual([[9], [9]]);
  });
});

describe('a SEL', () => {
  it('may be empty, and may not go in circles', async () => {
    expect(await Array.fromAsync(readSel(bmcOf(() => 0xcb)))).toEqual([]);
    const circle = bmcOf(() => [1, 0, ...Buffer.alloc(16, 2)]);
    await expect(Array.fromAsync(readSel(circle))).rejects.toMatchObject({ code: 'malformed' });
  });
});

describe('nonsense from a BMC', () => {
  const sensor = parseSdr(compactSdr(1, 1, 8, 'PSU')) as SensorRecord;
  const commands: readonly (readonly [string, (bmc: IpmiRequester) => Promise<unknown>])[] = [
    ['device id', getDeviceId],
    ['GUID', getSystemGuid],
    ['chassis status', getChassisStatus],
    ['chassis control', (bmc) => chassisControl(bmc, 'on')],
    ['boot flags', getBootFlags],
    ['FRU info', getFruInfo],
    ['FRU', readFru],
    ['FRU data', readFruData],
    ['SDR info', getSdrRepositoryInfo],
    ['SDR', readSdrRepository],
    ['SEL info', getSelInfo],
    ['SEL', (bmc) => Array.fromAsync(readSel(bmc))],
    ['reading', (bmc) => readSensor(bmc, sensor)],
    ['thresholds', (bmc) => getSensorThresholds(bmc, sensor)],
    ['LAN', getLanParameters],
  ];

  it.each(commands)('%s: is read, or refused with a typed error, and comes to an end', async (name, command) => {
    const random = seededRandom(`nonsense ${name}`);
    for (let round = 0; round < 200; round += 1) {
      const bmc = bmcOf(() => {
        if (random.chance(0.05)) return random.pick([0xc5, 0xca, 0xc9, 0xcb, 0xff, 0x80]);
        return Array.from({ length: random.int(40) }, () => random.int(256));
      });
      try {
        await command(bmc);
      } catch (error) {
        expect(error).toBeInstanceOf(IpmiError);
      }
    }
  });
});
