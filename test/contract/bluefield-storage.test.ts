import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { JsonObject } from '../../core/units.ts';
import type { BackendSpec } from '../../snic-controller/backends/backend.ts';
import {
  type BluefieldCard,
  disk,
  openBluefieldCard,
  otherDisk,
  soon,
  vfLinks,
  vfs,
} from '../support/bluefield-card.ts';
import { until } from '../support/wait.ts';
import { rejection } from './samples.ts';

let card: BluefieldCard;
beforeEach(async () => {
  card = await openBluefieldCard({}, { vfs, links: vfLinks });
});
afterEach(() => card.close());

const countOf = (call: string): number => card.lab.state().calls.filter((each) => each.startsWith(call)).length;
const vuidOf = (reservation: JsonObject): string => String(reservation.vuid);

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

  it.each([
    ['served', [{ ctrl: 'VblkCtrl7' }]],
    ['plugged', [{ plugged: true, enumerated: true }]],
    ['of another class', [{ emulation: 'NVME' as const }]],
    ['more than we can have made', [{}, {}]],
  ])('are not taken from others: %s', async (_what, theirs) => {
    card.lab.host({ on: true });
    const reservation = await card.backend.reserve(disk, []);
    for (const [index, each] of theirs.entries()) card.lab.plantStorage(`MT-THEIRS-${index}`, each);
    const before = card.lab.state().storage;
    const { reservation: made } = await card.backend.make(disk, reservation, undefined, []);
    expect(before.map((each) => each.vuid)).not.toContain(made.vuid);
    expect(await card.backend.list()).toMatchObject(
      before.map(({ vuid }) => ({ key: vuid, id: null })).concat([{ key: vuidOf(made), id: null }]),
    );
    await card.backend.destroy(disk, made);
    expect(card.lab.state().storage).toEqual(before);
  });

  it('are not taken from one that is being made', async () => {
    const [first = {}, second = {}] = await Promise.all(
      [disk, otherDisk].map((each) => card.backend.reserve(each, [])),
    );
    card.lab.fault('virtio_blk_function_create', 'late');
    const making = card.backend.make(disk, first, undefined, [second]);
    await until('a function', async () => card.lab.state().storage.length === 1);
    const { reservation } = await card.backend.make(otherDisk, second, undefined, [first]);
    expect((await making).reservation.vuid).not.toBe(reservation.vuid);
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
    const found = await vi.waitFor(() => card.backend.list(), { timeout: 30_000, interval: 50 });
    expect(found[0]).toMatchObject({ plugged: true, bdf: '0000:84:00.2' });
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
