/** What virtnet, devlink, mlxprivhost and SNAP print is read tolerantly, and nothing else is taken for it. */

import { describe, expect, it } from 'vitest';
import { readAddress } from '../../snic-controller/backends/bluefield/address.ts';
import { readPorts } from '../../snic-controller/backends/bluefield/devlink.ts';
import { featureBits, offeredFeatures } from '../../snic-controller/backends/bluefield/features.ts';
import { readPrivilege } from '../../snic-controller/backends/bluefield/privhost.ts';
import { readSnap4 } from '../../snic-controller/backends/bluefield/snap-view.ts';
import { readVirtnet } from '../../snic-controller/backends/bluefield/virtnet.ts';

describe('an address', () => {
  it.each([
    ['84:0.0', '0000:84:00.0'],
    ['26:00.2', '0000:26:00.2'],
    ['26:0c.0', '0000:26:0c.0'],
    ['E1:01.3', '0000:e1:01.3'],
    ['5:1f.7', '0000:05:1f.7'],
    ['0001:84:00.0', '0001:84:00.0'],
    [' 84:00.0 ', '0000:84:00.0'],
  ])('%s is %s', (text, bdf) => expect(readAddress(text)).toEqual({ bdf, bdfState: 'assigned' }));

  it.each(['00:00.0', '0:0.0', '0000:00:00.0'])('%s is not enumerated yet', (text) => {
    expect(readAddress(text)).toEqual({ bdf: null, bdfState: 'pending' });
  });

  it.each([null, '', 'N/A', '84:00', '84:20.0', '84:00.8', '184:00.0', 'x84:00.0'])('%s is none', (text) => {
    expect(readAddress(text)).toEqual({ bdf: null, bdfState: 'unknown' });
  });
});

describe('virtnet list', () => {
  const device = { vuid: 'MT1', pf_id: 1, function_type: 'hotplug PF' };
  const one = (fields: object) => readVirtnet({ devices: [{ ...device, ...fields }] }).devices[0];

  it('may have numbers as texts, other spellings, and keys missing', () => {
    expect(readVirtnet({ devices: [{ id: '3', bdf: '84:0.0', mac: '0C:C4:7A:FF:22:93', sf_num: '1001' }] })).toEqual({
      features: null,
      devices: [
        {
          ...{ vuid: null, pfId: 3, vfId: null, kind: 'hotplug', mac: '0c:c4:7a:ff:22:93', sf: 1001 },
          ...{ address: { bdf: '0000:84:00.0', bdfState: 'assigned' }, device: null, representor: null },
        },
      ],
    });
    expect(one({ sf_num: 0x3e9, mac: 'none', pci_bdf: 7 })).toMatchObject({ sf: 1001, mac: null });
    expect(one({ sf_num: '0x3E9' })).toMatchObject({ sf: 1001 });
    expect(one({ sf_num: -1 })).toMatchObject({ sf: null });
    expect(one({ mac: '00:00:00:00:00:00' })).toMatchObject({ mac: null });
    expect(one({ pci_bdf: '84:0.0', bdf: '85:0.0' })).toMatchObject({ address: { bdf: '0000:84:00.0' } });
  });

  it('tells static functions, hot-plugged ones and VFs apart', () => {
    expect(one({})).toMatchObject({ kind: 'hotplug' });
    expect(one({ function_type: 'static PF' })).toMatchObject({ kind: 'static' });
    expect(one({ function_type: 'VF' })).toMatchObject({ kind: 'vf' });
    expect(one({ vf_id: '0', function_type: undefined })).toMatchObject({ kind: 'vf', vfId: 0 });
  });

  it('may be a bare list, and may have no device', () => {
    expect(readVirtnet([device]).devices).toHaveLength(1);
    expect(readVirtnet({ controllers: [] }).devices).toEqual([]);
    expect(readVirtnet({ devices: [] }).devices).toEqual([]);
  });

  it.each([
    {},
    null,
    'text',
    7,
    { errno: 22, errstr: 'Invalid' },
    { devices: 'none' },
    { controllers: [], devices: {} },
  ])('is not: %j', (answer) => expect(() => readVirtnet(answer)).toThrow('did not answer a list'));

  it('has no device without a name', () => {
    expect(() => readVirtnet({ devices: [{ mac: '0c:c4:7a:ff:22:93' }] })).toThrow('nothing identifies');
  });

  it('has the features that all controllers have', () => {
    const controller = (value: unknown) => ({ supported_features: { value } });
    const bits = (...values: unknown[]) => readVirtnet({ controllers: values.map(controller) }).features;
    expect(bits('0xc0', '0x84')).toBe(0x80n);
    expect(bits('0x8900010300e7982f')).toBe(0x8900010300e7982fn);
    expect(bits('many', undefined)).toBeNull();
    expect(offeredFeatures(null)).toEqual(['csum', 'mq', 'mrg_rxbuf', 'packed', 'tso']);
    expect(offeredFeatures(0x0801n)).toEqual([]); // half of csum, half of tso
    expect(offeredFeatures(1n << 34n)).toEqual(['packed']);
    expect(featureBits(['mrg_rxbuf', 'tso'])).toBe(0x9800n);
  });
});

describe('devlink port show', () => {
  it('has ports with their attributes, some of which older kernels do not tell', () => {
    const port = {
      'pci/0000:03:00.0/196609': {
        netdev: 'pf0vf0',
        flavour: 'pcivf',
        pfnum: 0,
        vfnum: '0',
        function: { hw_addr: '' },
      },
      'pci/0000:03:00.0/262143': { flavour: 'physical', port: 0 },
      'auxiliary/mlx5_core.sf.4/1': 'virtual',
    };
    expect(readPorts({ port })).toEqual([
      {
        ...{ handle: 'pci/0000:03:00.0/196609', device: 'pci/0000:03:00.0', flavour: 'pcivf', netdev: 'pf0vf0' },
        ...{ controller: null, pfnum: 0, vfnum: 0, sfnum: null, mac: null },
      },
      {
        ...{ handle: 'pci/0000:03:00.0/262143', device: 'pci/0000:03:00.0', flavour: 'physical', netdev: null },
        ...{ controller: null, pfnum: null, vfnum: null, sfnum: null, mac: null },
      },
    ]);
    expect(readPorts({})).toEqual([]);
  });

  it.each([[{ port: [] }], [{ port: 'none' }]])('is not: %j', (answer) => {
    expect(() => readPorts(answer)).toThrow('did not answer a list');
  });
});

describe('mlxprivhost', () => {
  it.each([
    ['Host configurations\n-----\nlevel                         : RESTRICTED \n\nPort functions status:\n', true],
    ['level : PRIVILEGED\n', false],
    ['Level: restricted', true],
    ['level : EXPERIMENTAL\n', null],
    ['disable_level : RESTRICTED\n', null],
    ['', null],
  ])('%j: %s', (text, restricted) => expect(readPrivilege(text)).toBe(restricted));
});

describe("SNAP's functions", () => {
  const id = 'disk-22222222-2222-8222-8222-222222222222';
  const pf = { hotplugged: true, emulation_type: 'NVME', pf_index: 2, pci_bdf: '26:00.2', vhca_id: 4, vuid: 'MT1' };
  const one = (fields: object, controllers: Parameters<typeof readSnap4>[1] = new Map()) =>
    readSnap4([{ ...pf, ...fields }], controllers)[0];

  it('have VFs', () => {
    const vf = { ...pf, hotplugged: false, vf_index: 0, pci_bdf: '26:0c.0', vuid: 'MT1VF1' };
    expect(readSnap4([{ ...pf, vfs: [vf] }], new Map())).toMatchObject([
      { type: 'PF', vuid: 'MT1', hotplugged: true },
      { type: 'VF', vuid: 'MT1VF1', hotplugged: false, address: { bdf: '0000:26:0c.0' } },
    ]);
  });

  it('are plugged as their controller says, and else if the host gave an address', () => {
    const says = (plugged: boolean | null) => new Map([['c', { plugged, nqn: null }]]);
    expect(one({ ctrl_id: 'c' }, says(false))?.plugged).toBe(false);
    expect(one({ ctrl_id: 'c', pci_bdf: '00:00.0' }, says(true))?.plugged).toBe(true);
    expect(one({ ctrl_id: 'c' }, says(null))?.plugged).toBe(true);
    expect(one({ pci_bdf: '00:00.0' })?.plugged).toBe(false);
    expect(one({})?.plugged).toBe(true);
  });

  it('bear the id that their controller or subsystem is named after', () => {
    const named = (nqn: string) => new Map([['NVMeCtrl1', { plugged: true, nqn }]]);
    expect(one({ ctrl_id: id })?.id).toBe(id);
    expect(one({ ctrl_id: 'NVMeCtrl1' }, named(`nqn.2026-11.org.example:${id}`))?.id).toBe(id);
    expect(one({ ctrl_id: 'NVMeCtrl1' }, named('nqn.2026-11.org.example:disk-1'))?.id).toBeNull();
    expect(one({ ctrl_id: '' })).toMatchObject({ id: null, controller: null });
  });
});
