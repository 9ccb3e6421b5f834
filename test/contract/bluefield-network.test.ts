import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FunctionId, Mac } from '../../core/units.ts';
import { type BluefieldCard, nic, openBluefieldCard, soon, vfLinks, vfs } from '../support/bluefield-card.ts';
import { rejection } from './samples.ts';

let card: BluefieldCard;
beforeEach(async () => {
  card = await openBluefieldCard({}, { vfs, links: vfLinks });
});
afterEach(() => card.close());

const countOf = (call: string): number => card.lab.state().calls.filter((each) => each.startsWith(call)).length;

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

  it('are known by those whatever their representors are called', async () => {
    const reservation = await card.make(nic);
    card.lab.change((state) => ({
      ...state,
      net: state.net.map((each) => ({ ...each, rep: 'enP2s2r2' })),
      links: { enP2s2r2: { alias: '', up: false } },
    }));
    expect((await card.backend.make(nic, reservation)).state).toMatchObject({ id: nic.id, representor: 'enP2s2r2' });
    await card.backend.change(nic, reservation, { rateBitsPerSecond: 1000 });
    expect(Object.values(card.lab.state().rates)).toEqual(['1000bit']);
  });

  it('do not take an SF that somebody else has', async () => {
    const reservation = await card.backend.reserve(nic, []);
    const theirs = { ...nic, id: 'nic-other' as FunctionId, mac: '02:00:00:00:00:99' as Mac };
    await card.backend.plug(theirs, (await card.backend.make(theirs, reservation)).reservation);
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
