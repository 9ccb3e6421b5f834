import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { JsonObject } from '../../core/units.ts';
import {
  type BluefieldCard,
  disk,
  nic,
  openBluefieldCard,
  otherDisk,
  vf,
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
    let told = 0;
    const stop = card.backend.watch(() => {
      told += 1;
    });
    await until('the first look', async () => told > 0);
    await card.backend.list();
    const before = told;
    card.lab.host({ slow: false });
    await until('the address is told of', async () => told > before);
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
