import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { FunctionId, Mac } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import { type BluefieldCard, nic, openBluefieldCard, soon, vf, vfLinks, vfs } from '../support/bluefield-card.ts';
import { vfHandle } from '../support/bluefield-state.ts';
import { rejection } from './samples.ts';

let card: BluefieldCard;
beforeEach(async () => {
  card = await openBluefieldCard({}, { vfs, links: vfLinks });
});
afterEach(() => card.close());

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
