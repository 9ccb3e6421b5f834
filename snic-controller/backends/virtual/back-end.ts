import { join } from 'node:path';
import { type DeviceAdd, DeviceNotFoundError, GenericError, type QmpClient } from 'qmp-client';
import { DpuError } from '../../../core/errors.ts';
import type { Clock } from '../../../core/ports/clock.ts';
import type { BackendSpec } from '../backend.ts';
import { featureProperties } from './device-model.ts';
import type { StorageFront } from './options.ts';
import { isServed } from './probe-server.ts';
import { backEndName, deviceName, portName, representorName } from './slot.ts';

/** What the back ends are made of. */
export interface BackEndOptions {
  readonly front: StorageFront;
  readonly clock: Clock;
  readonly commandTimeoutMs: number;
}

/** How long a guest's I/O waits for a storage process that went away, in seconds. */
const reconnectDelayS = 60;

/**
 * Makes what a function's device stands on in QEMU: the netdev of its tap, or the client of its storage controller. There must be none in the slot.
 * @throws `unavailable` when nothing serves a storage function yet.
 */
export async function addBackEnd(
  qmp: QmpClient,
  spec: BackendSpec,
  slot: number,
  options: BackEndOptions,
): Promise<void> {
  const id = backEndName(spec.type, slot);
  if (spec.class === 'virtio-net') {
    // without vnet_hdr, for the userspace datapath of Open vSwitch does not complete checksums
    const tap = { ifname: representorName(spec.type, slot), script: 'no', downscript: 'no', vnet_hdr: false };
    await qmp.execute('netdev_add', { type: 'tap', id, ...tap });
    return;
  }
  const { front, clock, commandTimeoutMs: timeoutMs } = options;
  const path = front.kind === 'nbd' ? front.socket : join(front.dir, spec.id);
  const unserved = (cause?: unknown) =>
    new DpuError('unavailable', `nothing serves function ${spec.id} yet`, cause === undefined ? {} : { cause });
  if (!(await isServed(path, { protocol: front.kind, timeoutMs, clock }))) throw unserved();
  const server = { type: 'unix', path } as const;
  if (front.kind === 'vhost-user') {
    const data = { addr: { type: 'unix', data: { path } }, server: false, reconnect: 1 };
    await qmp.executeAny('chardev-add', { id, backend: { type: 'socket', data } });
    return;
  }
  try {
    const export_ = { export: spec.id, 'reconnect-delay': reconnectDelayS, 'auto-read-only': true };
    await qmp.execute('blockdev-add', { driver: 'nbd', 'node-name': id, server, ...export_ });
  } catch (error) {
    if (error instanceof GenericError) throw unserved(error); // nothing but a missing export is left
    throw error;
  }
}

/** The device of a function, for `device_add`. */
export function deviceOf(spec: BackendSpec, slot: number, front: StorageFront): DeviceAdd {
  const backEnd = backEndName(spec.type, slot);
  const place = { id: deviceName(spec.id), bus: portName(slot), addr: '0x0', ...featureProperties(spec, front) };
  // what virtio-blk has room for (VIRTIO 1.2, 5.2.6.1), and NVMe too
  const serial = spec.id.slice(0, 20);
  switch (spec.class) {
    case 'virtio-net':
      // no option ROM: the host boots from disks, and each ROM would take the firmware its time
      return { driver: 'virtio-net-pci', netdev: backEnd, mac: spec.mac, romfile: '', ...place };
    case 'virtio-blk':
      return front.kind === 'nbd'
        ? { driver: 'virtio-blk-pci', drive: backEnd, serial, ...place }
        : { driver: 'vhost-user-blk-pci', chardev: backEnd, 'num-queues': 1, ...place };
    case 'nvme':
      return { driver: 'nvme', drive: backEnd, serial, ...place };
  }
}

/**
 * Cuts the slot's block nodes off from their server. To close a node QEMU waits for a server that went away as long as a guest's I/O may, with
 * all of its monitors; no host that is off, or has let go of the device, has anything left to write. There may be none.
 */
export async function cutOff(qmp: QmpClient, slot: number): Promise<void> {
  for (const type of ['PF', 'VF'] as const) {
    try {
      await qmp.execute('yank', { instances: [{ type: 'block-node', 'node-name': backEndName(type, slot) }] });
    } catch (error) {
      if (!(error instanceof DeviceNotFoundError)) throw error;
    }
  }
}

/**
 * Removes whatever back end is left in a slot that has no device any more. A device that was just taken away may hold on to it for a moment, when
 * it is out of QEMU's tree already.
 */
export async function dropBackEnds(qmp: QmpClient, slot: number, options: BackEndOptions): Promise<void> {
  const names = (['PF', 'VF'] as const).map((type) => backEndName(type, slot));
  for (const id of names) {
    try {
      await qmp.execute('netdev_del', { id });
    } catch (error) {
      if (!(error instanceof DeviceNotFoundError)) throw error;
    }
  }
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true })).map((each) => each['node-name']);
  const chardevs = await qmp.executeAny('query-chardev');
  const labels = Array.isArray(chardevs) ? chardevs.map((each: { readonly label?: unknown }) => each.label) : [];
  for (const id of names) {
    if (nodes.includes(id)) {
      await cutOff(qmp, slot);
      await onceReleased(options, () => qmp.execute('blockdev-del', { 'node-name': id }));
    }
    if (labels.includes(id)) await onceReleased(options, () => qmp.executeAny('chardev-remove', { id }));
  }
}

/** Does it again while QEMU refuses; QEMU has no class of error for what is in use. @throws GenericError at the deadline */
async function onceReleased({ clock, commandTimeoutMs }: BackEndOptions, work: () => Promise<unknown>): Promise<void> {
  const deadline = clock.monotonicMs() + commandTimeoutMs;
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!(error instanceof GenericError) || clock.monotonicMs() >= deadline) throw error;
      await clock.sleep(10);
    }
  }
}
