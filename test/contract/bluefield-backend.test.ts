import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import { type BluefieldCard, openBluefieldCard } from '../support/bluefield-card.ts';
import { vfHandle } from '../support/bluefield-state.ts';
import { rejection } from './samples.ts';

const nic: BackendSpec = {
  id: 'nic-11111111-1111-8111-8111-111111111111' as FunctionId,
  type: 'PF',
  class: 'virtio-net',
  mac: '02:00:00:00:00:11' as Mac,
  features: [],
  parent: null,
};
const vf: BackendSpec = { ...nic, id: 'nic-33333333-3333-8333-8333-333333333333' as FunctionId, type: 'VF' };
const disk: BackendSpec = {
  ...nic,
  id: 'disk-22222222-2222-8222-8222-222222222222' as FunctionId,
  class: 'virtio-blk',
  mac: null,
};
const otherDisk: BackendSpec = { ...disk, id: 'disk-44444444-4444-8444-8444-444444444444' as FunctionId };
const soon = { deadlineMs: 100, force: false } as const;
const noMac = '00:00:00:00:00:00';
const vfs = [0, 1].map((vfnum) => ({ vfnum, netdev: `pf0vf${vfnum}`, mac: noMac }));
const vfLinks = {
  p0: { alias: '', up: true },
  pf0vf0: { alias: '', up: true },
  pf0vf1: { alias: '', up: false },
};

let card: BluefieldCard;
beforeEach(async () => {
  card = await openBluefieldCard({}, { vfs, links: vfLinks });
});
afterEach(() => card.close());

const countOf = (call: string): number => card.lab.state().calls.filter((each) => each.startsWith(call)).length;
const vuidOf = (reservation: JsonObject): string => String(reservation.vuid);

describe('a BlueField', () => {
  it('says what it can do and how much is free', async () => {
    const { kinds, ...rest } = await card.backend.capabilities();
    expect(rest).toEqual({ vfs: 'claimed', bdf: 'host', set: { mac: 'unplugged', link: false, rate: true } });
    expect(kinds.map((each) => `${each.type} ${each.class} ${each.features.join()}`)).toEqual([
      'PF virtio-net csum,mq,mrg_rxbuf,tso',
      'PF virtio-blk ',
      'PF nvme ',
      'VF virtio-net ',
    ]);
    expect(await card.backend.describe()).toEqual({
      model: 'BF3',
      serialNumber: 'MT2328XZ17DF',
      capacity: 8,
      free: 8,
      hostRestricted: true,
    });
    await card.make(vf);
    expect((await card.backend.describe()).free).toBe(7);
    card.lab.fault('mlxprivhost -d', 'fail');
    expect((await card.backend.describe()).hostRestricted).toBeNull();
  });

  it('is given addresses by the host, late, and others after a power cycle', async () => {
    card.lab.host({ on: true, slow: true });
    const [netPlace, diskPlace] = [await card.make(nic), await card.make(disk)];
    card.lab.serve(vuidOf(diskPlace), 'VblkCtrl1');
    for (const [spec, place] of [[nic, netPlace] as const, [disk, diskPlace] as const]) {
      expect(await card.backend.plug(spec, place)).toMatchObject({ plugged: true, bdf: null, bdfState: 'pending' });
    }
    const addresses = async () => (await card.backend.list()).map(({ bdf, bdfState }) => `${bdf} ${bdfState}`);
    expect(await addresses()).toEqual(['null pending', 'null pending']);
    card.lab.host({ slow: false });
    expect(await addresses()).toEqual(['0000:84:00.0 assigned', '0000:85:00.2 assigned']);
    card.lab.host({ on: false, shift: 2 });
    expect(await addresses()).toEqual(['null pending', 'null pending']);
    card.lab.host({ on: true });
    expect(await addresses()).toEqual(['0000:86:00.0 assigned', '0000:87:00.2 assigned']);
  });

  it('tells who watches that the host gave an address', async () => {
    await card.reopen({ watchMs: 20 });
    card.lab.host({ on: true, slow: true });
    await card.backend.plug(nic, await card.make(nic));
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = card.backend.watch(() => {
      card.backend.list().then(
        (all) => all.some((each) => each.bdf !== null) && resolve(),
        () => undefined, // it is closed
      );
    });
    card.lab.host({ slow: false });
    await promise;
    stop();
  });

  it('lists nothing rather than half of what there is', async () => {
    await card.make(nic);
    for (const kind of ['garbage', 'fail'] as const) {
      card.lab.fault('virtnet list', kind);
      await rejection(card.backend.list(), 'hardware');
    }
    await card.reopen({ commandTimeoutMs: 1000 });
    card.lab.fault('virtnet list', 'hang');
    await rejection(card.backend.list(), 'timeout');
    card.lab.fault('ip link', 'garbage');
    await rejection(card.backend.list(), 'hardware');
    await card.lab.snap.stop();
    await rejection(card.backend.list(), 'unavailable');
    await card.lab.snap.start();
    await card.reopen({ programs: { ...card.lab.programs, devlink: '/nowhere/devlink' } });
    await rejection(card.backend.list(), 'unavailable');
    await card.reopen();
    expect(await card.backend.list()).toHaveLength(1);
  });

  it('refuses a reservation that it did not give, and what it is not set up for', async () => {
    for (const each of [{}, { slot: 1 }, { kind: 'virtnet' }, { kind: 'snap', vuid: 1 }, { kind: 'vf' }]) {
      expect(() => card.backend.keyOf(each)).toThrow(DpuError);
      await rejection(card.backend.make(nic, each), 'internal');
    }
    await card.reopen({ vfs: null, snapSocket: null });
    await rejection(card.backend.reserve(vf, []), 'unsupported');
    await rejection(card.backend.reserve(disk, []), 'unsupported');
    expect((await card.backend.capabilities()).vfs).toBe('none');
  });

  it('has no more functions than ports for hot-plug, whoever made them', async () => {
    await card.reopen({ hotplugPorts: 3 });
    card.lab.plantStorage('MT-THEIRS');
    card.lab.plantStorage('MT-FIXED', { fixed: true });
    const place = await card.make(nic);
    const named = { kind: 'snap', class: 'virtio-blk', before: [], vuid: null };
    await rejection(card.backend.reserve(otherDisk, [place, named]), 'exhausted');
    const last = await card.make(disk, [place]);
    await rejection(card.backend.reserve(otherDisk, [place, last]), 'exhausted');
    expect((await card.backend.describe()).free).toBe(2);
  });
});

describe('network functions of virtnet', () => {
  it('are made without a carrier and plugged by their representor; each twice is as once', async () => {
    const reservation = await card.backend.reserve(nic, []);
    expect(card.lab.state().net).toEqual([]);
    const made = await card.backend.make(nic, reservation);
    const sf = Number(reservation.sf);
    const representor = `en3f0pf0sf${sf}`;
    expect(made.reservation).toEqual({ kind: 'virtnet', sf, vuid: 'MT2328XZ17DFVNETS0D0F0' });
    expect(made.state).toMatchObject({ key: `sf-${sf}`, id: nic.id, mac: nic.mac, plugged: false, representor });
    expect(await card.backend.make(nic, made.reservation)).toEqual(made);
    expect(card.lab.state().links[representor]).toEqual({ alias: `dpu:${nic.id}`, up: false });
    expect(card.lab.state().calls.find((each) => each.startsWith('virtnet hotplug'))).toBe(
      `virtnet hotplug -i mlx5_0 -m ${nic.mac} -t 1500 -n 3 -s 256 -u ${sf}`,
    );
    const plugged = await card.backend.plug(nic, made.reservation);
    expect(plugged).toEqual({ ...made.state, plugged: true });
    expect(await card.backend.plug(nic, made.reservation)).toEqual(plugged);
    expect(await card.backend.list()).toEqual([plugged]);
    expect(card.lab.state().links[representor]).toEqual({ alias: `dpu-shown:${nic.id}`, up: true });
    await rejection(card.backend.destroy(nic, made.reservation), 'bad_state');
    await card.backend.unplug(nic, made.reservation, soon);
    await card.backend.unplug(nic, made.reservation, soon);
    expect(card.lab.state().net).toEqual([]);
    // plugged anew it has another VUID and the same representor
    const again = await card.backend.plug(nic, made.reservation);
    expect(again).toEqual({ ...plugged, vuid: 'MT2328XZ17DFVNETS1D0F0' });
    await card.backend.unplug(nic, made.reservation, soon);
    await card.backend.destroy(nic, made.reservation);
    expect(countOf('virtnet hotplug')).toBe(2);
  });

  it('asks for features by their bits', async () => {
    await card.make({ ...nic, features: ['mrg_rxbuf', 'tso'] });
    expect(card.lab.state().calls.find((each) => each.startsWith('virtnet hotplug'))).toMatch(/ -f 0x9800$/);
  });

  it.each(['fail-after', 'hang-after'] as const)('are found where hotplug did its work and then: %s', async (kind) => {
    await card.reopen({ hotplugTimeoutMs: 2000 });
    card.lab.fault('virtnet hotplug', kind);
    await card.make(nic);
    expect(card.lab.state().net).toHaveLength(1);
    expect(countOf('virtnet hotplug')).toBe(1);
  });

  it('are not made where hotplug fails', async () => {
    const reservation = await card.backend.reserve(nic, []);
    card.lab.fault('virtnet hotplug', 'fail');
    await rejection(card.backend.make(nic, reservation), 'hardware');
    expect(card.lab.state().net).toEqual([]);
    card.lab.fault('virtnet hotplug', 'garbage'); // it says that all is well, and made nothing
    await card.reopen({ commandTimeoutMs: 500 });
    await rejection(card.backend.make(nic, reservation), 'timeout');
  });

  it('are found after a crash, whatever was done by then', async () => {
    const reservation = await card.backend.reserve(nic, []);
    await card.backend.make(nic, reservation);
    const before = card.lab.state().net;
    // the answer was not written down: the old reservation is used again
    expect((await card.backend.make(nic, reservation)).reservation).toMatchObject({ vuid: before[0]?.vuid });
    // nor was it marked
    card.lab.change((state) => ({
      ...state,
      links: { ...state.links, [before[0]?.rep ?? '']: { alias: '', up: false } },
    }));
    expect((await card.backend.list())[0]).toMatchObject({ id: null, plugged: false });
    expect((await card.backend.make(nic, reservation)).state).toMatchObject({ id: nic.id, plugged: false });
    expect(card.lab.state().net).toEqual(before);
    // and where even the reservation was lost, the mark tells
    await card.reopen();
    expect(await card.backend.reserve(nic, [])).toEqual({ kind: 'virtnet', sf: reservation.sf, vuid: before[0]?.vuid });
  });

  it('keep their carrier when the representor lost its mark under a host that uses them', async () => {
    const reservation = await card.make(nic);
    const { representor } = await card.backend.plug(nic, reservation);
    const set = (link: { alias: string; up: boolean }): void =>
      card.lab.change((state) => ({ ...state, links: { ...state.links, [representor ?? '']: link } }));
    set({ alias: '', up: true });
    expect((await card.backend.make(nic, reservation)).state.plugged).toBe(true);
    expect(card.lab.state().links[representor ?? '']).toEqual({ alias: `dpu-shown:${nic.id}`, up: true });
    set({ alias: '', up: false });
    expect((await card.backend.list())[0]).toMatchObject({ plugged: false });
  });

  it('are known where virtnet tells little, by the attributes of their ports', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    const full = await card.backend.list();
    card.lab.change((state) => ({ ...state, style: 'terse' }));
    expect(await card.backend.list()).toEqual(full);
  });

  it('do not take an SF that somebody else has', async () => {
    const reservation = await card.backend.reserve(nic, []);
    const theirs = { ...nic, id: 'nic-other' as FunctionId, mac: '02:00:00:00:00:99' as Mac };
    await card.backend.make(theirs, reservation);
    await rejection(card.backend.make(nic, reservation), 'conflict');
    await rejection(card.backend.plug(nic, reservation), 'conflict');
    await card.backend.unplug(nic, reservation, soon);
    await card.backend.destroy(nic, reservation);
    expect(await card.shown(theirs.id)).toMatchObject({ mac: theirs.mac });
    expect((await card.backend.reserve(nic, [])).sf).not.toBe(reservation.sf);
  });

  it('leave static ones alone, and list them', async () => {
    const fixed = { vuid: 'MT-STATIC', slot: 9, kind: 'static PF' as const, sf: 2000, rep: 'en3f0pf0sf2000' };
    card.lab.change((state) => ({
      ...state,
      net: [{ ...fixed, mac: '02:00:00:00:00:aa', enumerated: false }],
    }));
    expect(await card.backend.list()).toMatchObject([{ key: 'virtnet-MT-STATIC', id: null, plugged: true }]);
    expect((await card.backend.describe()).free).toBe(8);
    expect((await card.backend.reserve(nic, [])).sf).not.toBe(2000);
  });

  it('are busy while the host holds them, and are asked for once at a time', async () => {
    card.lab.host({ on: true });
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    card.lab.host({ holds: true });
    await rejection(card.backend.unplug(nic, reservation, soon), 'busy');
    expect(countOf('virtnet unplug')).toBe(1);
    expect(await card.shown(nic.id)).toMatchObject({ plugged: true });
    card.lab.host({ on: false });
    await card.backend.unplug(nic, reservation, soon);
    expect(card.lab.state().net).toEqual([]);
  });

  it.each(['fail-after', 'hang-after'] as const)('are unplugged where virtnet did it and then: %s', async (kind) => {
    await card.reopen({ commandTimeoutMs: 2000 });
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    card.lab.fault('virtnet unplug', kind);
    await card.backend.unplug(nic, reservation, soon);
    expect(countOf('virtnet unplug')).toBe(1);
  });

  it('change their MAC unless the host has its driver on them, and their rate in bits', async () => {
    const reservation = await card.make(nic);
    const other = '02:00:00:00:00:98' as Mac;
    card.lab.host({ on: true, driverBound: true });
    await rejection(card.backend.change(nic, reservation, { mac: other }), 'bad_state');
    card.lab.host({ on: false });
    await card.backend.change(nic, reservation, { mac: other });
    expect(await card.shown(nic.id)).toMatchObject({ mac: other });
    // one that was set and not written down is set back
    expect((await card.backend.make(nic, reservation)).state.mac).toBe(nic.mac);
    expect(card.lab.state().net[0]?.mac).toBe(nic.mac);
    await card.backend.change(nic, reservation, { rateBitsPerSecond: 2.5e9 });
    expect(Object.values(card.lab.state().rates)).toEqual(['2500000000bit']);
    card.lab.fault('devlink rate', 'fail');
    await rejection(card.backend.change(nic, reservation, { rateBitsPerSecond: 0 }), 'hardware');
    await rejection(card.backend.change(nic, reservation, { link: 'down' }), 'unsupported');
  });
});

describe('storage functions of SNAP', () => {
  it('are made unseen, plugged once they are served, and given back', async () => {
    const reservation = await card.backend.reserve(disk, []);
    expect(reservation).toEqual({ kind: 'snap', class: 'virtio-blk', before: [], vuid: null });
    expect(card.backend.keyOf(reservation)).toBeNull();
    const made = await card.backend.make(disk, reservation);
    const vuid = vuidOf(made.reservation);
    expect(made.state).toEqual({
      ...{ key: vuid, id: null, type: 'PF', class: 'virtio-blk', mac: null, bdf: null, bdfState: 'pending' },
      ...{ plugged: false, unplugPending: false, representor: null, vuid },
    });
    expect(await card.backend.make(disk, made.reservation)).toEqual(made);
    await rejection(card.backend.plug(disk, made.reservation), 'unavailable');
    card.lab.serve(vuid, disk.id);
    const plugged = await card.backend.plug(disk, made.reservation);
    expect(plugged).toEqual({ ...made.state, id: disk.id, plugged: true });
    expect(await card.backend.plug(disk, made.reservation)).toEqual(plugged);
    expect(card.lab.state().calls).toContain(
      `virtio_blk_controller_hotplug {"ctrl_id":"${disk.id}","wait_for_done":true}`,
    );
    await rejection(card.backend.destroy(disk, made.reservation), 'bad_state');
    await card.backend.unplug(disk, made.reservation, soon);
    await card.backend.unplug(disk, made.reservation, soon);
    await rejection(card.backend.destroy(disk, made.reservation), 'busy');
    card.lab.change((state) => ({ ...state, storage: state.storage.map((each) => ({ ...each, ctrl: null })) }));
    await card.backend.destroy(disk, made.reservation);
    await card.backend.destroy(disk, made.reservation);
    expect(card.lab.state().storage).toEqual([]);
    expect(countOf('virtio_blk_function_create')).toBe(1);
  });

  it('of NVMe are known by the subsystem that is named after them', async () => {
    const spec: BackendSpec = { ...disk, class: 'nvme' };
    const reservation = await card.make(spec);
    card.lab.serve(vuidOf(reservation), 'NVMeCtrl1', `nqn.2026-11.org.example:${spec.id}`);
    expect(await card.backend.plug(spec, reservation)).toMatchObject({ id: spec.id, class: 'nvme', plugged: true });
    await card.reopen();
    expect(await card.backend.reserve(spec, [])).toMatchObject({ vuid: reservation.vuid });
  });

  it('are adopted after a crash between making one and writing its VUID down', async () => {
    card.lab.plantStorage('MT-BEFORE');
    const reservation = await card.backend.reserve(disk, []);
    await card.backend.make(disk, reservation);
    await card.reopen();
    const { reservation: found } = await card.backend.make(disk, reservation, undefined, []);
    expect(found.vuid).toBe(card.lab.state().storage[1]?.vuid);
    expect(countOf('virtio_blk_function_create')).toBe(1);
  });

  it('are not mixed up: neither by two that are made at once, nor after a crash', async () => {
    const places = await Promise.all([disk, otherDisk].map((spec) => card.backend.reserve(spec, [])));
    const [first = {}, second = {}] = places;
    const made = await Promise.all([
      card.backend.make(disk, first, undefined, [second]),
      card.backend.make(otherDisk, second, undefined, [first]),
    ]);
    expect(new Set(made.map((each) => each.reservation.vuid)).size).toBe(2);
    // the first was written down, the second was not
    await card.reopen();
    const written = made[0]?.reservation ?? {};
    const again = await card.backend.make(otherDisk, second, undefined, [written]);
    expect(again.reservation).toEqual(made[1]?.reservation);
    // neither was: each gets one of them, and none is made
    await card.reopen();
    const one = await card.backend.make(disk, first, undefined, [second]);
    const two = await card.backend.make(otherDisk, second, undefined, [one.reservation]);
    expect(new Set([one, two].map((each) => each.reservation.vuid)).size).toBe(2);
    expect(countOf('virtio_blk_function_create')).toBe(2);
  });

  it('are not taken from others: served, plugged, of another class, or more than we can have made', async () => {
    const reservation = await card.backend.reserve(disk, []);
    card.lab.plantStorage('MT-SERVED', { ctrl: 'VblkCtrl7' });
    card.lab.plantStorage('MT-PLUGGED', { ctrl: 'VblkCtrl8', plugged: true });
    card.lab.plantStorage('MT-NVME', { emulation: 'NVME' });
    card.lab.plantStorage('MT-NEW-1');
    card.lab.plantStorage('MT-NEW-2');
    const before = card.lab.state().storage;
    const { reservation: made } = await card.backend.make(disk, reservation, undefined, []);
    expect(before.map((each) => each.vuid)).not.toContain(made.vuid);
    expect(await card.backend.list()).toMatchObject(
      before.map(({ vuid }) => ({ key: vuid, id: null })).concat([{ key: vuidOf(made), id: null }]),
    );
    await card.backend.destroy(disk, made);
    expect(card.lab.state().storage).toEqual(before);
  });

  it('are given back where only SNAP knows of them', async () => {
    const reservation = await card.backend.reserve(disk, []);
    await card.backend.make(disk, reservation);
    await card.reopen();
    await card.backend.destroy(disk, reservation); // it can't be told whose it is
    expect(card.lab.state().storage).toHaveLength(1);
    await card.backend.destroy(disk, reservation, undefined, []);
    expect(card.lab.state().storage).toEqual([]);
  });

  it('of another id on a VUID of ours are left alone', async () => {
    const reservation = await card.make(disk);
    card.lab.serve(vuidOf(reservation), otherDisk.id);
    await rejection(card.backend.plug(disk, reservation), 'conflict');
    await card.backend.unplug(disk, reservation, soon);
    await card.backend.destroy(disk, reservation);
    expect(card.lab.state().storage).toHaveLength(1);
  });

  it('are made anew, with another VUID, where a cold start of the card took them', async () => {
    const reservation = await card.make(disk);
    card.lab.change((state) => ({ ...state, storage: [] }));
    await rejection(card.backend.plug(disk, reservation), 'not_found');
    const { reservation: next } = await card.backend.make(disk, reservation, undefined, []);
    expect(next.vuid).not.toBe(reservation.vuid);
  });

  it.each(['fail-after', 'hang-after'] as const)('are plugged where SNAP did it and then: %s', async (kind) => {
    await card.reopen({ hotplugTimeoutMs: 500 });
    const reservation = await card.make(disk);
    card.lab.serve(vuidOf(reservation), 'VblkCtrl1');
    card.lab.fault('virtio_blk_controller_hotplug', kind);
    expect(await card.backend.plug(disk, reservation)).toMatchObject({ plugged: true });
    expect(countOf('virtio_blk_controller_hotplug')).toBe(1);
  });

  it('are not plugged where SNAP fails', async () => {
    await card.reopen({ hotplugTimeoutMs: 500 });
    const reservation = await card.make(disk);
    card.lab.serve(vuidOf(reservation), 'VblkCtrl1');
    card.lab.fault('virtio_blk_controller_hotplug', 'fail');
    await rejection(card.backend.plug(disk, reservation), 'hardware');
    card.lab.fault('virtio_blk_controller_hotplug', 'hang');
    await rejection(card.backend.plug(disk, reservation), 'timeout');
    card.lab.fault('virtio_blk_function_create', 'garbage');
    await rejection(card.make(otherDisk, [reservation]), 'hardware');
  });

  it('are busy while the host holds them', async () => {
    card.lab.host({ on: true });
    const reservation = await card.make(disk);
    card.lab.serve(vuidOf(reservation), 'VblkCtrl1');
    await card.backend.plug(disk, reservation);
    card.lab.host({ holds: true });
    await rejection(card.backend.unplug(disk, reservation, soon), 'busy');
    expect((await card.backend.list())[0]).toMatchObject({ plugged: true });
    card.lab.host({ on: false });
    await card.backend.unplug(disk, reservation, soon);
    expect((await card.backend.list())[0]).toMatchObject({ plugged: false });
  });

  it('stay plugged when SNAP is restarted, and can be unplugged once they are served again', async () => {
    card.lab.host({ on: true });
    const reservation = await card.make(disk);
    card.lab.serve(vuidOf(reservation), 'VblkCtrl1');
    await card.backend.plug(disk, reservation);
    await card.lab.snap.stop();
    await card.lab.snap.start();
    expect((await card.backend.list())[0]).toMatchObject({ plugged: true, bdf: '0000:84:00.2' });
    expect((await card.backend.make(disk, reservation)).reservation).toEqual(reservation);
    await rejection(card.backend.unplug(disk, reservation, soon), 'unavailable');
    card.lab.serve(vuidOf(reservation), 'VblkCtrl1');
    await card.backend.unplug(disk, reservation, soon);
  });

  it('of older SNAPs are listed and not made', async () => {
    for (const generation of ['snap-4-early', 'snap-3'] as const) {
      await card.close();
      card = await openBluefieldCard({ generation });
      card.lab.plantStorage('MT-OLD', { emulation: 'NVME', ctrl: 'NVMeCtrl0', plugged: true });
      const { kinds } = await card.backend.capabilities();
      expect(kinds.map((each) => each.class)).toEqual(['virtio-net', 'virtio-net']);
      const key = generation === 'snap-3' ? 'mlx5_0-nvme-0' : 'MT-OLD';
      expect((await card.backend.list())[0]).toMatchObject({ key, class: 'nvme', plugged: true, id: null });
      await rejection(card.make(disk), 'unsupported');
    }
  });
});

describe("the host's VFs", () => {
  it('are claimed and not made', async () => {
    const reservation = await card.backend.reserve(vf, []);
    expect(reservation).toEqual({ kind: 'vf', device: 'pci/0000:03:00.0', controller: 1, pfnum: 0, vfnum: 0 });
    const made = await card.backend.make(vf, reservation);
    expect(made.state).toMatchObject({ id: vf.id, type: 'VF', mac: vf.mac, representor: 'pf0vf0', plugged: false });
    expect(made.state).toMatchObject({ bdf: null, bdfState: 'unknown', vuid: null });
    expect(await card.backend.make(vf, made.reservation)).toEqual(made);
    expect(card.lab.state().links.pf0vf0).toEqual({ alias: `dpu:${vf.id}`, up: false });
    const plugged = await card.backend.plug(vf, reservation);
    expect(plugged).toEqual({ ...made.state, plugged: true });
    expect(await card.backend.list()).toEqual([plugged]);
    await card.backend.change(vf, reservation, { rateBitsPerSecond: 1_000_000 });
    expect(card.lab.state().rates).toEqual({ [vfHandle(0)]: '1000000bit' });
    await rejection(card.backend.destroy(vf, reservation), 'bad_state');
    await card.backend.unplug(vf, reservation, soon);
    expect(card.lab.state().links.pf0vf0).toEqual({ alias: `dpu:${vf.id}`, up: false });
    await card.backend.destroy(vf, reservation);
    await card.backend.destroy(vf, reservation);
    expect(await card.backend.list()).toEqual([]);
    expect(card.lab.state().vfs).toEqual(vfs);
  });

  it('are exhausted when the pool is empty', async () => {
    const taken = [await card.make(vf)];
    const second: BackendSpec = { ...vf, id: 'vf-2' as FunctionId, mac: '02:00:00:00:00:12' as Mac };
    taken.push(await card.make(second, taken));
    const third: BackendSpec = { ...vf, id: 'vf-3' as FunctionId };
    await rejection(card.backend.reserve(third, taken), 'exhausted');
    card.lab.change((state) => ({ ...state, vfs: [] }));
    await rejection(card.backend.reserve(third, []), 'exhausted');
    await rejection(card.backend.plug(vf, taken[0] ?? {}), 'not_found');
    await card.backend.unplug(vf, taken[0] ?? {}, soon);
    await card.backend.destroy(vf, taken[0] ?? {});
  });

  it('that somebody else uses are listed and left alone', async () => {
    card.lab.change((state) => ({
      ...state,
      vfs: state.vfs.map((each) => (each.vfnum === 0 ? { ...each, mac: '02:00:00:00:00:77' } : each)),
    }));
    const before = card.lab.state();
    expect(await card.backend.list()).toMatchObject([{ type: 'VF', id: null, mac: '02:00:00:00:00:77' }]);
    const reservation = await card.backend.reserve(vf, []);
    expect(reservation.vfnum).toBe(1);
    const theirs = { ...reservation, vfnum: 0 };
    await rejection(card.backend.make(vf, theirs), 'conflict');
    await rejection(card.backend.plug(vf, theirs), 'conflict');
    await card.backend.unplug(vf, theirs, soon);
    await card.backend.destroy(vf, theirs);
    expect(card.lab.state()).toMatchObject({ vfs: before.vfs, links: before.links });
  });

  it('are found by their attributes, whatever their representors are called, and after those lost their marks', async () => {
    const reservation = await card.make(vf);
    await card.backend.plug(vf, reservation);
    card.lab.change((state) => ({
      ...state,
      vfs: state.vfs.map((each) => ({ ...each, netdev: `B1c1pf0vf${each.vfnum}` })),
      links: { B1c1pf0vf0: { alias: '', up: false }, B1c1pf0vf1: { alias: '', up: false } },
    }));
    expect(await card.backend.list()).toMatchObject([{ representor: 'B1c1pf0vf0', plugged: false, mac: vf.mac }]);
    await card.backend.make(vf, reservation);
    expect(await card.backend.plug(vf, reservation)).toMatchObject({ representor: 'B1c1pf0vf0', plugged: true });
  });

  it('keep their MAC while the host has its driver on them', async () => {
    const reservation = await card.make(vf);
    card.lab.host({ on: true, driverBound: true });
    await rejection(card.backend.change(vf, reservation, { mac: '02:00:00:00:00:98' as Mac }), 'bad_state');
    await rejection(card.backend.destroy(vf, reservation), 'busy');
    expect(await card.shown(vf.id)).toMatchObject({ mac: vf.mac });
    card.lab.host({ driverBound: false });
    await card.backend.destroy(vf, reservation);
    expect(await card.backend.list()).toEqual([]);
  });

  it('have no parent of ours', async () => {
    const parent = await card.make(nic);
    const error = await rejection(card.backend.reserve({ ...vf, parent }, [parent]), 'unsupported');
    expect(error.field).toBe('parent');
  });
});
