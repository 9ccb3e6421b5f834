import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import { bootSector } from '../support/boot-sector.ts';
import { openGuestConsole } from '../support/guest-console.ts';
import { disk, nic, openVirtualCard, soon, type VirtualCard } from '../support/virtual-card.ts';
import { canHaveVirtualHosts } from '../support/virtual-host.ts';
import { rejection } from './samples.ts';

vi.setConfig({ testTimeout: 120_000 });

describe.skipIf(!canHaveVirtualHosts('virtual backend with a running host'))('the virtual backend and its host', () => {
  let card: VirtualCard;
  beforeEach(async () => {
    card = await openVirtualCard();
  });
  afterEach(() => card.close());

  it('is busy while a running host does not let go, says so after a restart, and goes on when asked again', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    await card.lab.powerOn();
    await card.enumerated();
    await rejection(card.backend.unplug(nic, reservation, soon), 'busy');
    await card.reopen();
    expect(await card.shown(nic.id)).toMatchObject({ plugged: true, unplugPending: true });
    await rejection(card.backend.unplug(nic, reservation, soon), 'busy');
    await rejection(card.backend.plug(nic, reservation), 'busy');
    await rejection(card.backend.destroy(nic, reservation), 'bad_state');
    expect(await card.lab.qmp.execute('query-status')).toMatchObject({ status: 'running' });
    await card.lab.powerOff();
    // the reset has taken it out; what it stood on is still there
    expect(await card.shown(nic.id)).toMatchObject({ plugged: false, unplugPending: false });
    await card.backend.unplug(nic, reservation, soon);
    expect(await card.lab.remains()).toEqual(['link pf0rep0']);
    expect(await card.backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
  });

  it('unplugs at once from a host that switches itself off while it waits', async () => {
    const bootDisk = join(card.lab.dir, 'boot');
    const image = Buffer.alloc(1 << 20);
    bootSector('here I am', 'obey').copy(image);
    await writeFile(bootDisk, image);
    await card.lab.storage.serve(disk.id, { file: bootDisk });
    const first = await card.make(disk);
    const second = await card.make(nic, [first]);
    await card.backend.plug(disk, first);
    await card.backend.plug(nic, second);
    await card.lab.bootFrom(disk.id);
    const guest = await openGuestConsole(card.lab.host.serial);
    try {
      await card.lab.powerOn();
      await guest.expect('here I am');
    } finally {
      guest.close();
    }
    using resets = card.lab.qmp.events({ names: ['RESET', 'SHUTDOWN'] });
    const unplugged = card.backend.unplug(nic, second, { deadlineMs: 3_600_000, force: false });
    while (!(await card.lab.remains()).includes('/objects/unplug-rp1')) await pause(5);
    await card.lab.qmp.execute('system_powerdown');
    await unplugged;
    expect(await card.backend.list()).toMatchObject([
      { id: disk.id, plugged: true },
      { id: nic.id, plugged: false },
    ]);
    expect((await resets.next()).value).toMatchObject({ event: 'SHUTDOWN' });
    expect((await resets.next()).value).toMatchObject({ event: 'RESET' });
  });

  it('plugs again what a host that is off was asked to let go of', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    await card.lab.powerOn();
    await card.enumerated();
    await rejection(card.backend.unplug(nic, reservation, soon), 'busy');
    await card.lab.qmp.execute('stop');
    // a host that is only stopped will go on, and let go then
    await rejection(card.backend.plug(nic, reservation), 'busy');
    await card.lab.powerOff();
    expect(await card.backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
  });

  it('never resets a host that runs or is stopped on its way', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    await card.lab.powerOn();
    await card.enumerated();
    await card.lab.qmp.execute('stop');
    using resets = card.lab.qmp.events({ names: ['RESET', 'RESUME'] });
    await rejection(card.backend.unplug(nic, reservation, soon), 'busy');
    await rejection(card.backend.unplug(nic, reservation, { ...soon, force: true }), 'busy');
    await card.lab.qmp.execute('cont');
    expect((await resets.next()).value).toMatchObject({ event: 'RESUME' });
  });

  it('stops waiting when aborted, and the request stays', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    await card.lab.powerOn();
    await card.enumerated();
    const abort = new AbortController();
    const reason = new Error('enough');
    const waiting = card.backend.unplug(nic, reservation, { deadlineMs: 3_600_000, force: false }, abort.signal);
    setTimeout(() => abort.abort(reason), 50);
    await expect(waiting).rejects.toBe(reason);
    await expect(card.backend.list(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await card.shown(nic.id)).toMatchObject({ plugged: true });
  });

  it('keeps everything over resets and power cycles of the host', async () => {
    const first = await card.make(nic);
    await card.lab.storage.serve(disk.id);
    const second = await card.make(disk, [first]);
    await card.backend.plug(nic, first);
    await card.backend.plug(disk, second);
    const before = await card.backend.list();
    await card.lab.powerOn();
    await card.enumerated();
    expect(await card.backend.list()).toEqual(before);
    await card.lab.qmp.execute('system_reset');
    await card.lab.powerOff();
    await card.lab.powerOn();
    await card.enumerated();
    expect(await card.backend.list()).toEqual(before);
  });

  it('shows what a killed host has lost as unplugged, and plugs it again at the same address', async () => {
    const first = await card.make(nic);
    await card.lab.storage.serve(disk.id);
    const second = await card.make(disk, [first]);
    const before = [await card.backend.plug(nic, first), await card.backend.plug(disk, second)];
    const changes: string[] = [];
    const stop = card.backend.watch(() => changes.push('changed'));
    await card.lab.restart();
    while (changes.length < 2) await pause(10);
    stop();
    expect(await card.backend.list()).toMatchObject([{ id: nic.id, plugged: false, representor: 'pf0rep0' }]);
    expect([await card.backend.plug(nic, first), await card.backend.plug(disk, second)]).toEqual(before);
  });

  it('tells that a device came away by itself', async () => {
    const reservation = await card.make(nic);
    await card.backend.plug(nic, reservation);
    let told = (): void => {};
    const change = new Promise<void>((resolve) => {
      told = resolve;
    });
    await card.backend.list();
    const stop = card.backend.watch(() => told());
    await card.lab.qmp.execute('device_del', { id: `fn-${nic.id}` });
    await card.lab.qmp.execute('system_reset');
    await change;
    stop();
  });

  it('is there again by itself after the host, while somebody watches', async () => {
    const stop = card.backend.watch(() => {});
    const connected = async (): Promise<boolean> => {
      const chardevs = (await card.lab.qmp.executeAny('query-chardev')) as { label: string; filename: string }[];
      return chardevs.some((each) => each.label === 'qmp-snic' && !each.filename.startsWith('disconnected:'));
    };
    while (!(await connected())) await pause(10);
    await card.lab.restart();
    while (!(await connected())) await pause(10);
    stop();
  });

  it('says that the host is away, and is well again when it is back', async () => {
    await card.reopen({ qmp: `${card.lab.host.qmp.snic}.not`, commandTimeoutMs: 500 });
    await rejection(card.backend.describe(), 'unavailable');
    await card.reopen();
    await card.backend.describe();
    const lost = await Promise.all([
      card.lab.restart().then(() => null),
      card.backend.unplug(nic, { slot: 0 }, soon).then(
        () => null,
        (error: unknown) => error,
      ),
    ]);
    if (lost[1] !== null) expect(lost[1]).toBeInstanceOf(DpuError);
    for (;;) {
      const error = await card.backend.describe().then(
        () => null,
        (each: unknown) => each,
      );
      if (error === null) break;
      expect(error).toMatchObject({ code: 'unavailable' });
    }
  });
});
