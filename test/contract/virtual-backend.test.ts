import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DpuError } from '../../core/errors.ts';
import type { FunctionId, JsonObject, Mac } from '../../core/units.ts';
import { systemClock } from '../../kit/clock.ts';
import type { Backend, BackendSpec } from '../../snic-controller/backends/backend.ts';
import { createVirtualBackend } from '../../snic-controller/backends/virtual/backend.ts';
import type { VirtualBackendOptions } from '../../snic-controller/backends/virtual/options.ts';
import { canHaveVirtualHosts, startVirtualHost, type VirtualHost } from '../support/virtual-host.ts';
import { rejection } from './samples.ts';

const nic: BackendSpec = {
  id: 'nic-11111111-1111-8111-8111-111111111111' as FunctionId,
  type: 'PF',
  class: 'virtio-net',
  mac: '02:00:00:00:00:11' as Mac,
  features: [],
  parent: null,
};
const disk: BackendSpec = {
  ...nic,
  id: 'disk-22222222-2222-8222-8222-222222222222' as FunctionId,
  class: 'virtio-blk',
  mac: null,
};
const soon = { deadlineMs: 300, force: false };
const patient = { deadlineMs: 20_000, force: false };

describe.skipIf(!canHaveVirtualHosts('virtual backend of snic-controller'))('the virtual backend', () => {
  let lab: VirtualHost;
  let backend: Backend;
  const open = (options: Partial<VirtualBackendOptions> = {}): Backend => {
    const { host, netns, storage } = lab;
    const base = { qmp: host.qmp.snic, front: storage.front('nbd'), clock: systemClock, netns, reconnectMs: 20 };
    return createVirtualBackend({ ...base, ...options });
  };
  beforeEach(async () => {
    lab = await startVirtualHost();
    backend = open();
  });
  afterEach(async () => {
    await backend?.close();
    await lab?.close();
  });
  const reopen = async (options?: Partial<VirtualBackendOptions>): Promise<void> => {
    await backend.close();
    backend = open(options);
  };
  const make = async (spec: BackendSpec, taken: readonly JsonObject[] = []): Promise<JsonObject> => {
    const { reservation } = await backend.make(spec, await backend.reserve(spec, taken));
    return reservation;
  };
  const shown = async (id: FunctionId) => (await backend.list()).find((each) => each.id === id);
  const ran = async (): Promise<void> => {
    // firmware has numbered the buses: it runs
    for (;;) {
      const buses = await lab.qmp.execute('query-pci');
      if (
        buses[0]?.devices.every(
          (each) => !each.pci_bridge || (each.pci_bridge.bus.number !== undefined && each.pci_bridge.bus.secondary > 0),
        )
      )
        return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };

  it('describes a card of sixteen slots', async () => {
    expect(await backend.describe()).toEqual({
      model: 'virtual',
      serialNumber: null,
      capacity: 16,
      free: 16,
      hostRestricted: true,
    });
    expect((await backend.capabilities()).kinds.map((each) => `${each.type} ${each.class}`)).toEqual(
      ['PF', 'VF'].flatMap((type) => ['virtio-net', 'virtio-blk', 'nvme'].map((each) => `${type} ${each}`)),
    );
    expect(await backend.list()).toEqual([]);
  });

  it('makes, plugs, unplugs and destroys a network function while the host is off; each twice is as once', async () => {
    const reservation = await backend.reserve(nic, []);
    expect(await lab.remains()).toEqual([]);
    const made = await backend.make(nic, reservation);
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
    expect(await backend.make(nic, reservation)).toEqual(made);
    expect(backend.keyOf(made.reservation)).toBe('rp0');
    expect(JSON.parse(lab.ip('-j', '-d', 'link', 'show', 'dev', 'pf0rep0'))).toMatchObject([
      { ifalias: `dpu:${nic.id}`, linkinfo: { info_data: { type: 'tap', persist: true, vnet_hdr: false } } },
    ]);
    const plugged = await backend.plug(nic, reservation);
    expect(plugged).toEqual({ ...made.state, plugged: true });
    expect(await backend.plug(nic, reservation)).toEqual(plugged);
    expect(await backend.list()).toEqual([plugged]);
    // the host may not see offloads that the datapath can't complete
    expect(JSON.parse(lab.ip('-j', '-d', 'link', 'show', 'dev', 'pf0rep0'))[0].linkinfo.info_data.vnet_hdr).toBe(false);
    await rejection(backend.destroy(nic, reservation), 'bad_state');
    await backend.unplug(nic, reservation, soon);
    await backend.unplug(nic, reservation, soon);
    expect(await lab.remains()).toEqual(['link pf0rep0']);
    expect(await shown(nic.id)).toEqual({ ...made.state, mac: null });
    await backend.destroy(nic, reservation);
    await backend.destroy(nic, reservation);
    expect(await lab.remains()).toEqual([]);
    expect(await lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
  });

  it.each(['virtio-blk', 'nvme'] as const)('plugs a %s function once its controller is served', async (kind) => {
    const spec: BackendSpec = { ...disk, class: kind };
    const reservation = await make(spec);
    expect(await lab.remains()).toEqual([]);
    await rejection(backend.plug(spec, reservation), 'unavailable');
    expect(await lab.remains()).toEqual([]);
    await lab.storage.serve(spec.id);
    const plugged = await backend.plug(spec, reservation);
    expect(plugged).toMatchObject({ key: 'rp0', class: kind, representor: null, mac: null, plugged: true });
    expect(await backend.list()).toEqual([plugged]);
    const path = `/machine/peripheral/fn-${spec.id}`;
    expect(await lab.qmp.execute('qom-get', { path, property: 'serial' })).toBe(spec.id.slice(0, 20));
    await backend.unplug(spec, reservation, soon);
    expect(await lab.remains()).toEqual([]);
    expect(await backend.list()).toEqual([]);
    await backend.plug(spec, reservation);
    await backend.unplug(spec, reservation, soon);
    await backend.destroy(spec, reservation);
    expect(await lab.remains()).toEqual([]);
  });

  it('plugs a disk that is served read only', async () => {
    await lab.storage.serve(disk.id, { readOnly: true });
    expect(await backend.plug(disk, await make(disk))).toMatchObject({ plugged: true });
  });

  it('does not send the host to a storage process that is there and does not answer', async () => {
    await reopen({ commandTimeoutMs: 500 });
    await lab.storage.serve(disk.id);
    const reservation = await make(disk);
    lab.storage.stall(true);
    await rejection(backend.plug(disk, reservation), 'unavailable');
    expect(await lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    lab.storage.stall(false);
    expect(await backend.plug(disk, reservation)).toMatchObject({ plugged: true });
  });

  it('reaches a controller by vhost-user where that is the front', async () => {
    await reopen({ front: lab.storage.front('vhost-user') });
    const reservation = await make(disk);
    await rejection(backend.plug(disk, reservation), 'unavailable');
    expect(await lab.qmp.execute('query-status')).toMatchObject({ status: 'prelaunch' });
    expect(await lab.remains()).toEqual([]);
    await lab.storage.serve(disk.id, { kind: 'vhost-user' });
    expect(await backend.plug(disk, reservation)).toMatchObject({ plugged: true, class: 'virtio-blk' });
    expect(await backend.list()).toMatchObject([{ id: disk.id, class: 'virtio-blk' }]);
    await backend.unplug(disk, reservation, soon);
    await backend.destroy(disk, reservation);
    expect(await lab.remains()).toEqual([]);
    await rejection(backend.reserve({ ...disk, class: 'nvme' }, []), 'unsupported');
  });

  it('switches on the features that are asked for, and refuses what it does not have', async () => {
    const spec: BackendSpec = { ...nic, features: ['packed', 'mrg_rxbuf'] };
    await backend.plug(spec, await make(spec));
    const path = `/machine/peripheral/fn-${nic.id}`;
    expect(await lab.qmp.execute('qom-get', { path, property: 'packed' })).toBe(true);
    for (const feature of ['tso', 'toString', 'discard']) {
      const error = await rejection(backend.reserve({ ...nic, features: [feature] }, []), 'unsupported');
      expect(error.field).toBe('features');
    }
  });

  it('has every feature that it says it has', async () => {
    const { kinds } = await backend.capabilities();
    await lab.storage.serve(disk.id);
    for (const { type, class: functionClass, features } of kinds) {
      const base = functionClass === 'virtio-net' ? nic : disk;
      const spec: BackendSpec = { ...base, type, class: functionClass, features };
      const reservation = await make(spec);
      expect(await backend.plug(spec, reservation)).toMatchObject({ type, class: functionClass, plugged: true });
      expect(await shown(spec.id)).toMatchObject({ type, class: functionClass });
      await backend.unplug(spec, reservation, soon);
      await backend.destroy(spec, reservation);
    }
    expect(await lab.remains()).toEqual([]);
  });

  it('refuses an id that QEMU could not carry', async () => {
    const error = await rejection(backend.reserve({ ...nic, id: 'a,b=c' as FunctionId }, []), 'invalid');
    expect(error.field).toBe('id');
  });

  it('gives each function a slot of its own, until none is left', async () => {
    const taken: JsonObject[] = [];
    for (let index = 0; index < 16; index += 1) {
      const spec = { ...disk, id: `disk-${index}` as FunctionId };
      taken.push(await make(spec, taken));
    }
    expect(new Set(taken.map((each) => backend.keyOf(each))).size).toBe(16);
    await rejection(backend.reserve(nic, taken), 'exhausted');
    expect(await backend.reserve(nic, taken.toSpliced(7, 1))).toEqual(taken[7]);
  });

  it('finds the slot of a function that nobody remembers, by what QEMU and the kernel bear', async () => {
    const first = { slot: 3 };
    const second = { slot: 5 };
    await backend.make(nic, first);
    await lab.storage.serve(disk.id);
    await backend.make(disk, second);
    await backend.plug(disk, second);
    await reopen();
    expect(await backend.reserve(nic, [])).toEqual(first);
    expect(await backend.reserve(disk, [])).toEqual(second);
    expect(await backend.list()).toMatchObject([
      { key: 'rp3', id: nic.id, plugged: false, representor: 'pf3rep0', bdf: '0000:04:00.0' },
      { key: 'rp5', id: disk.id, plugged: true, bdf: '0000:06:00.0' },
    ]);
  });

  it('models a VF as a root port of its own', async () => {
    const parent = await make(nic);
    const vf: BackendSpec = { ...nic, id: 'vf-1' as FunctionId, type: 'VF', mac: '02:00:00:00:00:12' as Mac, parent };
    const reservation = await make(vf, [parent]);
    expect(await backend.plug(vf, reservation)).toMatchObject({ type: 'VF', key: 'rp1', representor: 'vf1rep0' });
    expect(await shown(vf.id)).toMatchObject({ type: 'VF', plugged: true, mac: vf.mac });
  });

  it('lists what is not ours, keeps away from its slots and leaves it alone', async () => {
    await lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', id: 'theirs', bus: 'rp0' });
    await lab.qmp.execute('device_add', { driver: 'virtio-rng-pci', bus: 'rp1' });
    lab.ip('tuntap', 'add', 'dev', 'pf2rep0', 'mode', 'tap');
    lab.ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap');
    const before = await lab.remains();
    expect(await backend.list()).toMatchObject([
      { key: 'rp0', id: null, plugged: true },
      { key: 'rp1', id: null, plugged: true },
      { key: 'rp2', id: null, plugged: false, representor: 'pf2rep0' },
    ]);
    expect((await backend.describe()).free).toBe(13);
    expect(await backend.reserve(nic, [])).toEqual({ slot: 3 });
    for (const slot of [0, 1, 2]) {
      await rejection(backend.make(nic, { slot }), 'conflict');
      await rejection(backend.plug(nic, { slot }), slot === 2 ? 'not_found' : 'conflict');
      await backend.unplug(nic, { slot }, soon);
      await backend.destroy(nic, { slot });
    }
    expect(await lab.remains()).toEqual(before);
  });

  it('does not plug a network function that has no tap, which QEMU would make itself', async () => {
    const reservation = await backend.reserve(nic, []);
    await rejection(backend.plug(nic, reservation), 'not_found');
    expect(await lab.remains()).toEqual([]);
  });

  it('finishes what was done half: a tap without its name, back ends without a device', async () => {
    lab.ip('tuntap', 'add', 'dev', 'snic-new0', 'mode', 'tap');
    const reservation = await make(nic);
    const tap = { ifname: 'pf0rep0', script: 'no', downscript: 'no', vnet_hdr: false };
    await lab.qmp.execute('netdev_add', { type: 'tap', id: 'pf-rp0', ...tap });
    await lab.qmp.execute('object-add', { 'qom-type': 'throttle-group', id: 'unplug-rp0' });
    expect(await backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
    await backend.unplug(nic, reservation, soon);
    await lab.qmp.execute('netdev_add', { type: 'tap', id: 'pf-rp0', ...tap });
    await backend.destroy(nic, reservation);
    expect(await lab.remains()).toEqual([]);
  });

  it('is busy while a running host does not let go, says so after a restart, and goes on when asked again', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    await lab.powerOn();
    await ran();
    await rejection(backend.unplug(nic, reservation, soon), 'busy');
    await reopen();
    expect(await shown(nic.id)).toMatchObject({ plugged: true, unplugPending: true });
    await rejection(backend.unplug(nic, reservation, soon), 'busy');
    await rejection(backend.plug(nic, reservation), 'busy');
    await rejection(backend.destroy(nic, reservation), 'bad_state');
    expect(await lab.qmp.execute('query-status')).toMatchObject({ status: 'running' });
    await lab.powerOff();
    // the reset has taken it out; what it stood on is still there
    expect(await shown(nic.id)).toMatchObject({ plugged: false, unplugPending: false });
    await backend.unplug(nic, reservation, soon);
    expect(await lab.remains()).toEqual(['link pf0rep0']);
    expect(await backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
  });

  it('unplugs at once from a host that goes off while it waits', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    await lab.powerOn();
    await ran();
    const asked = lab.qmp.executeAny('qom-get', { path: '/machine', property: 'type' });
    const unplugged = backend.unplug(nic, reservation, { ...patient, deadlineMs: 3_600_000 });
    await asked;
    await lab.powerOff();
    await unplugged;
    expect(await shown(nic.id)).toMatchObject({ plugged: false });
  });

  it('plugs again what a host that is off was asked to let go of', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    await lab.powerOn();
    await ran();
    await rejection(backend.unplug(nic, reservation, soon), 'busy');
    await lab.qmp.execute('stop');
    // a host that is only stopped will go on, and let go then
    await rejection(backend.plug(nic, reservation), 'busy');
    await lab.powerOff();
    expect(await backend.plug(nic, reservation)).toMatchObject({ plugged: true, unplugPending: false });
  });

  it('never resets a host that runs or is stopped on its way', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    await lab.powerOn();
    await ran();
    await lab.qmp.execute('stop');
    using resets = lab.qmp.events({ names: ['RESET'] });
    await rejection(backend.unplug(nic, reservation, soon), 'busy');
    await rejection(backend.unplug(nic, reservation, { ...soon, force: true }), 'busy');
    await lab.powerOff();
    // one reset, and it is ours
    expect((await resets.next()).value).toMatchObject({ event: 'RESET' });
    const other = resets.next();
    await expect(Promise.race([other, Promise.resolve('none')])).resolves.toBe('none');
  });

  it('stops waiting when aborted, and the request stays', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    await lab.powerOn();
    await ran();
    const abort = new AbortController();
    const reason = new Error('enough');
    const waiting = backend.unplug(nic, reservation, { deadlineMs: 3_600_000, force: false }, abort.signal);
    setTimeout(() => abort.abort(reason), 50);
    await expect(waiting).rejects.toBe(reason);
    await expect(backend.list(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await shown(nic.id)).toMatchObject({ plugged: true });
  });

  it('keeps everything over resets and power cycles of the host', async () => {
    const first = await make(nic);
    await lab.storage.serve(disk.id);
    const second = await make(disk, [first]);
    await backend.plug(nic, first);
    await backend.plug(disk, second);
    const before = await backend.list();
    await lab.powerOn();
    await ran();
    expect(await backend.list()).toEqual(before);
    await lab.qmp.execute('system_reset');
    await lab.powerOff();
    await lab.powerOn();
    await ran();
    expect(await backend.list()).toEqual(before);
  });

  it('shows what a killed host has lost as unplugged, and plugs it again at the same address', async () => {
    const first = await make(nic);
    await lab.storage.serve(disk.id);
    const second = await make(disk, [first]);
    const before = [await backend.plug(nic, first), await backend.plug(disk, second)];
    const changes: string[] = [];
    const stop = backend.watch(() => changes.push('changed'));
    await lab.restart();
    while (changes.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
    stop();
    expect(await backend.list()).toMatchObject([{ id: nic.id, plugged: false, representor: 'pf0rep0' }]);
    expect([await backend.plug(nic, first), await backend.plug(disk, second)]).toEqual(before);
  });

  it('makes the tap again that a restart of the SoC took', async () => {
    const { reservation, state } = await backend.make(nic, await backend.reserve(nic, []));
    lab.ip('link', 'del', 'dev', 'pf0rep0');
    expect(await backend.make(nic, reservation)).toEqual({ reservation, state });
  });

  it('tells that a device came away by itself', async () => {
    const reservation = await make(nic);
    await backend.plug(nic, reservation);
    let told = (): void => {};
    const change = new Promise<void>((resolve) => {
      told = resolve;
    });
    await backend.list();
    const stop = backend.watch(() => told());
    await lab.qmp.execute('device_del', { id: `fn-${nic.id}` });
    await lab.qmp.execute('system_reset');
    await change;
    stop();
  });

  it('changes the link of a plugged function and the MAC of an unplugged one', async () => {
    const reservation = await make(nic);
    await backend.change(nic, reservation, { mac: '02:00:00:00:00:99' as Mac });
    await rejection(backend.change(nic, reservation, { link: 'down' }), 'bad_state');
    await backend.plug({ ...nic, mac: '02:00:00:00:00:99' as Mac }, reservation);
    expect(await shown(nic.id)).toMatchObject({ mac: '02:00:00:00:00:99' });
    await backend.change(nic, reservation, { link: 'down' });
    await backend.change(nic, reservation, { link: 'up' });
    await rejection(backend.change(nic, reservation, { mac: '02:00:00:00:00:98' as Mac }), 'bad_state');
    await rejection(backend.change(nic, reservation, { rateBitsPerSecond: 1000 }), 'unsupported');
  });

  it('says that the host is away, and is well again when it is back', async () => {
    await reopen({ qmp: `${lab.host.qmp.snic}.not`, commandTimeoutMs: 500 });
    await rejection(backend.describe(), 'unavailable');
    await reopen();
    await backend.describe();
    const lost = await Promise.all([
      lab.restart().then(() => null),
      backend.unplug(nic, { slot: 0 }, soon).then(
        () => null,
        (error: unknown) => error,
      ),
    ]);
    if (lost[1] !== null) expect(lost[1]).toBeInstanceOf(DpuError);
    for (;;) {
      const error = await backend.describe().then(
        () => null,
        (each: unknown) => each,
      );
      if (error === null) break;
      expect(error).toMatchObject({ code: 'unavailable' });
    }
  });

  it('refuses a reservation that it did not give', async () => {
    for (const each of [{}, { slot: 16 }, { slot: -1 }, { slot: '0' }]) {
      expect(() => backend.keyOf(each)).toThrow(DpuError);
      await rejection(backend.make(nic, each), 'internal');
    }
  });
});
