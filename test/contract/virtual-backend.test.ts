import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import { disk, nic, openVirtualCard, soon, type VirtualCard } from '../support/virtual-card.ts';
import { canHaveVirtualHosts } from '../support/virtual-host.ts';
import { rejection } from './samples.ts';

vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(!canHaveVirtualHosts('virtual backend of snic-controller'))('the virtual backend', () => {
  let card: VirtualCard;
  beforeEach(async () => {
    card = await openVirtualCard();
  });
  afterEach(() => card.close());

  it('describes a card of sixteen slots', async () => {
    expect(await card.backend.describe()).toEqual({
      model: 'virtual',
      serialNumber: null,
      capacity: 16,
      free: 16,
      hostRestricted: true,
    });
    expect((await card.backend.capabilities()).kinds.map((each) => `${each.type} ${each.class}`)).toEqual(
      ['PF', 'VF'].flatMap((type) => ['virtio-net', 'virtio-blk', 'nvme'].map((each) => `${type} ${each}`)),
    );
    expect(await card.backend.list()).toEqual([]);
  });

  it('makes, plugs, unplugs and destroys a network function while the host is off; each twice is as once', async () => {
    const reservation = await card.backend.reserve(nic, []);
    expect(await card.lab.remains()).toEqual([]);
    const made = await card.backend.make(nic, reservation);
    expect(made.state).toEqual({
      key: 'rp0',
      id: nic.id,
      type: 'PF',
      class: 'virtio-net',
      mac: nic.mac,
      bdf: '0000:01:00.0',
      bdfState: 'assigned',
      plugged: false,
      unplugPending: false,
      representor: 'pf0rep0',
      vuid: null,
    });
    expect(await card.backend.make(nic, reservation)).toEqual(made);
    expect(card.backend.keyOf(made.reservation)).toBe('rp0');
    expect(JSON.parse(card.lab.ip('-j', '-d', 'link', 'show', 'dev', 'pf0rep0'))).toMatchObject([
      { ifalias: `dpu:${nic.id}`, linkinfo: { info_data: { type: 'tap', persist: true, vnet_hdr: false } } },
    ]);
    const plugged = await card.backend.plug(nic, reservation);
    expect(plugged).toEqual({ ...made.state, plugged: true });
    expect(await card.backend.plug(nic, reservation)).toEqual(plugged);
    expect(await card.backend.list()).toEqual([plugged]);
    // the host may not see offloads that the datapath can't complete
    expect(JSON.parse(card.lab.ip('-j', '-d', 'link', 'show', 'dev', 'pf0rep0'))[0].linkinfo.info_data.vnet_hdr).toBe(
      false,
    );
    await rejection(card.backend.destroy(nic, reservation), 'bad_state');
    await card.backend.unplug(nic, reservation, soon);
    await card.backend.unplug(nic, reservation, soon);
    expect(await card.lab.remains()).toEqual(['link pf0rep0']);
    expect(await card.shown(nic.id)).toEqual({ ...made.state, mac: null });
    await card.backend.destroy(nic, reservation);
    await card.backend.destroy(nic, reservation);
    expect(await card.lab.remains()).toEqual([]);
    expect(await card.lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
  });

  it.each(['virtio-blk', 'nvme'] as const)('plugs a %s function once its controller is served', async (kind) => {
    const spec: BackendSpec = { ...disk, class: kind };
    const reservation = await card.make(spec);
    expect(await card.lab.remains()).toEqual([]);
    await rejection(card.backend.plug(spec, reservation), 'unavailable');
    expect(await card.lab.remains()).toEqual([]);
    await card.lab.storage.serve(spec.id);
    const plugged = await card.backend.plug(spec, reservation);
    expect(plugged).toMatchObject({ key: 'rp0', class: kind, representor: null, mac: null, plugged: true });
    expect(await card.backend.list()).toEqual([plugged]);
    const path = `/machine/peripheral/fn-${spec.id}`;
    expect(await card.lab.qmp.execute('qom-get', { path, property: 'serial' })).toBe(spec.id.slice(0, 20));
    await card.backend.unplug(spec, reservation, soon);
    expect(await card.lab.remains()).toEqual([]);
    expect(await card.backend.list()).toEqual([]);
    await card.backend.plug(spec, reservation);
    await card.backend.unplug(spec, reservation, soon);
    await card.backend.destroy(spec, reservation);
    expect(await card.lab.remains()).toEqual([]);
  });

  it('plugs a disk that is served read only', async () => {
    await card.lab.storage.serve(disk.id, { readOnly: true });
    expect(await card.backend.plug(disk, await card.make(disk))).toMatchObject({ plugged: true });
  });

  it('does not send the host to a storage process that is there and does not answer', async () => {
    await card.reopen({ commandTimeoutMs: 500 });
    await card.lab.storage.serve(disk.id);
    const reservation = await card.make(disk);
    card.lab.storage.stall(true);
    await rejection(card.backend.plug(disk, reservation), 'unavailable');
    expect(await card.lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    card.lab.storage.stall(false);
    expect(await card.backend.plug(disk, reservation)).toMatchObject({ plugged: true });
  });

  it('takes a disk from a host that is off without waiting for a storage process that does not answer', async () => {
    await card.lab.storage.serve(disk.id);
    const reservation = await card.make(disk);
    await card.backend.plug(disk, reservation);
    card.lab.storage.stall(true);
    await card.backend.unplug(disk, reservation, soon);
    expect(await card.lab.remains()).toEqual([]);
    card.lab.storage.stall(false);
    expect(await card.backend.plug(disk, reservation)).toMatchObject({ plugged: true });
  });

  it('reaches a controller by vhost-user where that is the front', async () => {
    await card.reopen({ front: card.lab.storage.front('vhost-user') });
    const reservation = await card.make(disk);
    await rejection(card.backend.plug(disk, reservation), 'unavailable');
    expect(await card.lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    expect(await card.lab.remains()).toEqual([]);
    await card.lab.storage.serve(disk.id, { kind: 'vhost-user' });
    expect(await card.backend.plug(disk, reservation)).toMatchObject({ plugged: true, class: 'virtio-blk' });
    expect(await card.backend.list()).toMatchObject([{ id: disk.id, class: 'virtio-blk' }]);
    await card.backend.unplug(disk, reservation, soon);
    await card.backend.destroy(disk, reservation);
    expect(await card.lab.remains()).toEqual([]);
    await rejection(card.backend.reserve({ ...disk, class: 'nvme' }, []), 'unsupported');
  });

  it('switches on the features that are asked for, and refuses what it does not have', async () => {
    const spec: BackendSpec = { ...nic, features: ['packed', 'mrg_rxbuf'] };
    await card.backend.plug(spec, await card.make(spec));
    const path = `/machine/peripheral/fn-${nic.id}`;
    expect(await card.lab.qmp.execute('qom-get', { path, property: 'packed' })).toBe(true);
    for (const feature of ['tso', 'toString', 'discard']) {
      const error = await rejection(card.backend.reserve({ ...nic, features: [feature] }, []), 'unsupported');
      expect(error.field).toBe('features');
    }
  });

  it('has every feature that it says it has', async () => {
    const { kinds } = await card.backend.capabilities();
    await card.lab.storage.serve(disk.id);
    for (const { type, class: functionClass, features } of kinds) {
      const base = functionClass === 'virtio-net' ? nic : disk;
      const spec: BackendSpec = { ...base, type, class: functionClass, features };
      const reservation = await card.make(spec);
      expect(await card.backend.plug(spec, reservation)).toMatchObject({ type, class: functionClass, plugged: true });
      expect(await card.shown(spec.id)).toMatchObject({ type, class: functionClass });
      await card.backend.unplug(spec, reservation, soon);
      await card.backend.destroy(spec, reservation);
    }
    expect(await card.lab.remains()).toEqual([]);
  });

  it('refuses an id that QEMU could not carry', async () => {
    const error = await rejection(card.backend.reserve({ ...nic, id: 'a,b=c' as FunctionId }, []), 'invalid');
    expect(error.field).toBe('id');
  });

  it('gives each function a slot of its own, until none is left', async () => {
    const taken: JsonObject[] = [];
    for (let index = 0; index < 16; index += 1) {
      const spec = { ...disk, id: `disk-${index}` as FunctionId };
      taken.push(await card.make(spec, taken));
    }
    expect(new Set(taken.map((each) => card.backend.keyOf(each))).size).toBe(16);
    await rejection(card.backend.reserve(nic, taken), 'exhausted');
    expect(await card.backend.reserve(nic, taken.toSpliced(7, 1))).toEqual(taken[7]);
  });

  it('finds the slot of a function that nobody remembers, by what QEMU and the kernel bear', async () => {
    const first = { slot: 3 };
    const second = { slot: 5 };
    await card.backend.make(nic, first);
    await card.lab.storage.serve(disk.id);
    await card.backend.make(disk, second);
    await card.backend.plug(disk, second);
    await card.reopen();
    expect(await card.backend.reserve(nic, [])).toEqual(first);
    expect(await card.backend.reserve(disk, [])).toEqual(second);
    expect(await card.backend.list()).toMatchObject([
      { key: 'rp3', id: nic.id, plugged: false, representor: 'pf3rep0', bdf: '0000:04:00.0' },
      { key: 'rp5', id: disk.id, plugged: true, bdf: '0000:06:00.0' },
    ]);
  });

  it('finds a function that is plugged elsewhere than remembered', async () => {
    await card.backend.make(nic, { slot: 3 });
    await card.backend.plug(nic, { slot: 3 });
    await rejection(card.backend.plug(nic, { slot: 5 }), 'conflict');
    await rejection(card.backend.destroy(nic, { slot: 5 }), 'bad_state');
    await card.backend.unplug(nic, { slot: 5 }, soon);
    expect(await card.lab.remains()).toEqual(['link pf3rep0']);
  });

  it('models a VF as a root port of its own', async () => {
    const parent = await card.make(nic);
    const vf: BackendSpec = { ...nic, id: 'vf-1' as FunctionId, type: 'VF', mac: '02:00:00:00:00:12' as Mac, parent };
    const reservation = await card.make(vf, [parent]);
    expect(await card.backend.plug(vf, reservation)).toMatchObject({ type: 'VF', key: 'rp1', representor: 'vf1rep0' });
    expect(await card.shown(vf.id)).toMatchObject({ type: 'VF', plugged: true, mac: vf.mac });
  });

  it('lists what is not ours, keeps away from its slots and leaves it alone', async () => {
    await card.lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'theirs', bus: 'rp0' });
    await card.lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', bus: 'rp1' });
    card.lab.ip('tuntap', 'add', 'dev', 'pf2rep0', 'mode', 'tap');
    card.lab.ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap');
    const before = await card.lab.remains();
    expect(await card.backend.list()).toMatchObject([
      { key: 'rp0.theirs', id: null, plugged: true },
      { key: 'rp1.device-0-', id: null, plugged: true },
      { key: 'rp2.pf2rep0', id: null, plugged: false, representor: 'pf2rep0' },
    ]);
    expect((await card.backend.describe()).free).toBe(13);
    expect(await card.backend.reserve(nic, [])).toEqual({ slot: 3 });
    for (const slot of [0, 1, 2]) {
      await rejection(card.backend.make(nic, { slot }), 'conflict');
      await rejection(card.backend.plug(nic, { slot }), slot === 2 ? 'not_found' : 'conflict');
      await card.backend.unplug(nic, { slot }, soon);
      await card.backend.destroy(nic, { slot });
    }
    expect(await card.lab.remains()).toEqual(before);
  });

  it('shows what is ours under its own key, even beside what is not', async () => {
    const reservation = await card.make(nic);
    await card.lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'theirs', bus: 'rp0' });
    expect(await card.backend.list()).toMatchObject([
      { key: 'rp0.theirs', id: null, plugged: true },
      { key: 'rp0', id: nic.id, plugged: false },
    ]);
    await rejection(card.backend.plug(nic, reservation), 'conflict');
  });

  it('does not plug a network function that has no tap, which QEMU would make itself', async () => {
    const reservation = await card.backend.reserve(nic, []);
    await rejection(card.backend.plug(nic, reservation), 'not_found');
    expect(await card.lab.remains()).toEqual([]);
  });

  it('finishes what was done half: a tap without its name, back ends without a device', async () => {
    card.lab.ip('tuntap', 'add', 'dev', 'snic-new0', 'mode', 'tap');
    const reservation = await card.make(nic);
    const tap = { ifname: 'pf0rep0', script: 'no', downscript: 'no', vnet_hdr: false };
    await card.lab.qmp.execute('netdev_add', { type: 'tap', id: 'pf-rp0', ...tap });
    await card.lab.qmp.execute('object-add', { 'qom-type': 'throttle-group', id: 'unplug-rp0' });
    expect(await card.backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
    await card.backend.unplug(nic, reservation, soon);
    await card.lab.qmp.execute('netdev_add', { type: 'tap', id: 'pf-rp0', ...tap });
    await card.backend.destroy(nic, reservation);
    expect(await card.lab.remains()).toEqual([]);
  });

  it('plugs anew what hangs on a tap that was taken away from under it', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    const carrier = (): string[] => JSON.parse(card.lab.ip('-j', 'link', 'show', 'dev', 'pf0rep0'))[0].flags;
    card.lab.ip('link', 'del', 'dev', 'pf0rep0');
    await rejection(card.backend.plug(nic, reservation), 'not_found');
    await card.backend.make(nic, reservation);
    expect(carrier()).toContain('NO-CARRIER');
    expect(await card.backend.plug(nic, reservation)).toMatchObject({ plugged: true });
    expect(carrier()).not.toContain('NO-CARRIER');
  });

  it('makes the tap again that a restart of the SoC took', async () => {
    const { reservation, state } = await card.backend.make(nic, await card.backend.reserve(nic, []));
    card.lab.ip('link', 'del', 'dev', 'pf0rep0');
    expect(await card.backend.make(nic, reservation)).toEqual({ reservation, state });
  });

  it('changes the link of a plugged function and the MAC of an unplugged one', async () => {
    const reservation = await card.make(nic);
    await card.backend.change(nic, reservation, { mac: '02:00:00:00:00:99' as Mac });
    await card.backend.change(nic, reservation, { link: 'down' });
    await card.backend.plug({ ...nic, mac: '02:00:00:00:00:99' as Mac }, reservation);
    expect(await card.shown(nic.id)).toMatchObject({ mac: '02:00:00:00:00:99' });
    await card.backend.change(nic, reservation, { link: 'down' });
    await card.backend.change(nic, reservation, { link: 'up' });
    await rejection(card.backend.change(nic, reservation, { mac: '02:00:00:00:00:98' as Mac }), 'bad_state');
    await rejection(card.backend.change(nic, reservation, { rateBitsPerSecond: 1000 }), 'unsupported');
  });

  it('refuses a reservation that it did not give', async () => {
    for (const each of [{}, { slot: 16 }, { slot: -1 }, { slot: '0' }]) {
      expect(() => card.backend.keyOf(each)).toThrow(DpuError);
      await rejection(card.backend.make(nic, each), 'internal');
    }
  });
});
