import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasCode } from '../../core/errors.ts';
import { parseFru } from '../../packages/node-ipmi/src/index.ts';
import { afterBoot, type BootSettings, bootOrder, DEFAULT_BOOT, nextBootOrder } from '../../virtual-dpu/bmc/boot.ts';
import type { HostDevice } from '../../virtual-dpu/bmc/devices.ts';
import { fruImage } from '../../virtual-dpu/bmc/fru.ts';
import { DEFAULT_RULES, fits, parseRules } from '../../virtual-dpu/bmc/rules.ts';

function device(id: string, kind: 'disk' | 'nic', port: number, bootIndex = -1): HostDevice {
  const bdf = `0000:0${port + 1}:00.0`;
  return { id, kind, driver: 'x', port, bdf, mac: null, serial: null, sizeBytes: null, bootIndex };
}
const ids = (devices: readonly HostDevice[]): string => devices.map(({ id }) => id).join(' ');

describe('boot order of the virtual host', () => {
  const devices = [device('nic', 'nic', 1), device('a', 'disk', 2), device('b', 'disk', 3)];

  it('has disks before NICs, in the order of their ports', () => {
    expect(ids(bootOrder(DEFAULT_BOOT, devices))).toBe('a b nic');
  });

  it('heeds a device that was plugged with a boot index, and forgets it for the stored order', () => {
    const plugged = [...devices.slice(0, 2), device('b', 'disk', 3, 0)];
    expect(ids(bootOrder({ ...DEFAULT_BOOT, order: ['Boot0003'] }, plugged))).toBe('b a nic');
    const ours = [device('nic', 'nic', 1, 102), device('a', 'disk', 2, 100), device('b', 'disk', 3, 101)];
    expect(ids(bootOrder({ ...DEFAULT_BOOT, order: ['Boot0002', 'Boot0004', 'Boot0003'] }, ours))).toBe('nic b a');
  });

  it.each([
    [{ target: 'Pxe' }, 'nic a b'],
    [{ target: 'Hdd' }, 'a b nic'],
    [{ target: 'UefiBootNext', next: 'Boot0004' }, 'b a nic'],
    [{ target: 'BiosSetup' }, 'a b nic'],
  ] satisfies readonly (readonly [Partial<BootSettings>, string])[])('puts the override %j first', (change, wanted) => {
    const settings: BootSettings = { ...DEFAULT_BOOT, enabled: 'Once', ...change };
    expect(ids(nextBootOrder(settings, devices))).toBe(wanted);
    expect(ids(nextBootOrder(afterBoot(settings), devices))).toBe('a b nic');
    expect(afterBoot({ ...settings, enabled: 'Continuous' }).enabled).toBe('Continuous');
  });
});

describe('FRU of the virtual host', () => {
  it('is what a reader of FRUs reads, whatever the texts are', () => {
    const text = fc.stringMatching(/^[ -~]{2,63}$/);
    fc.assert(
      fc.property(fc.record({ manufacturer: text, product: text, serialNumber: text, assetTag: text }), (about) => {
        const fru = parseFru(fruImage(about));
        expect(fru.product?.serialNumber?.trim()).toBe(about.serialNumber.trim());
        expect(fru.product?.manufacturer?.trim()).toBe(about.manufacturer.trim());
        expect(fru.product?.assetTag?.trim()).toBe(about.assetTag.trim());
        expect(fru.chassis?.serialNumber?.trim()).toBe(about.serialNumber.trim());
      }),
    );
  });
});

describe("the BMC's rules", () => {
  it('are checked, each field by its name', () => {
    const wrong = {
      persona: 'acme',
      power: 'maybe',
      login: 1,
      missing: [1],
      faults: [{ path: '/x', does: { kind: 'explodes' } }],
      strange: true,
    };
    for (const [field, value] of Object.entries(wrong)) {
      try {
        parseRules({ [field]: value }, DEFAULT_RULES);
        expect.unreachable(field);
      } catch (error) {
        expect(hasCode(error, 'invalid') && error.field).toBe(field);
      }
    }
    expect(parseRules({ power: 'stuck' }, DEFAULT_RULES)).toEqual({ ...DEFAULT_RULES, power: 'stuck' });
  });

  it('mean a path, or all that begin so', () => {
    expect([fits('/a/*', '/a/b'), fits('/a/*', '/b/a'), fits('/a', '/a'), fits('/a', '/a/b')]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });
});
