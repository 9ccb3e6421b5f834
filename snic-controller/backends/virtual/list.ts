import type { QmpClient } from 'qmp-client';
import type { FunctionClass, FunctionType } from '../../../core/ports/snic-controller.ts';
import type { Mac } from '../../../core/units.ts';
import type { BackendFunction } from '../backend.ts';
import { classOfDriver } from './device-model.ts';
import { type HostDevice, type HostView, secondaryBuses, textProperty, viewHost } from './host-devices.ts';
import { backEndName, bdfOf, functionOfDevice, portName } from './slot.ts';
import type { Tap, Taps } from './taps.ts';
import { pendingSlots } from './unplug.ts';

/** A function without what is the same for all of a slot. */
type Found = Pick<BackendFunction, 'id' | 'type' | 'class' | 'mac' | 'plugged' | 'representor'> & {
  readonly slot: number;
  /** Tells it from others in its slot. */
  readonly name: string;
};

/**
 * All functions that QEMU or the kernel show: the devices in root ports, and the taps with a representor's name. Whatever is not ours has a key that
 * no reservation has, since all that is ours says so.
 */
export async function listFunctions(qmp: QmpClient, taps: Taps): Promise<readonly BackendFunction[]> {
  const view = await viewHost(qmp);
  const representors = await taps.list();
  const buses = view.fresh ? new Map<number, number>() : await secondaryBuses(qmp);
  const pending = await pendingSlots(qmp);
  const plugged = await Promise.all(view.devices.map((each) => ofDevice(qmp, each, representors)));
  const shown = new Set(plugged.map((each) => each.representor));
  const found = [...plugged, ...representors.filter((each) => !shown.has(each.name)).map(ofTap)];
  return found
    .toSorted((a, b) => a.slot - b.slot)
    .map(({ slot, name, ...each }) => {
      const bdf = bdfOf(slot, buses.get(slot));
      return {
        ...each,
        key: each.id === null ? `${portName(slot)}.${name.replaceAll(/[^\w.-]/g, '-')}` : portName(slot),
        bdf,
        bdfState: bdf === bdfOf(slot) ? 'assigned' : 'changed',
        unplugPending: each.plugged && each.id !== null && pending.has(slot),
        vuid: null,
      };
    });
}

/** Slots in which there is anything, ours or another's. */
export function usedSlots(view: HostView, taps: readonly Tap[]): ReadonlySet<number> {
  return new Set([...view.devices, ...taps].map((each) => each.slot));
}

async function ofDevice(qmp: QmpClient, device: HostDevice, taps: readonly Tap[]): Promise<Found> {
  const functionClass: FunctionClass = classOfDriver(device.driver);
  const id = functionOfDevice(device.name);
  const backEnd = await textProperty(qmp, device.path, backEndProperty(device.driver));
  const type: FunctionType = backEnd === backEndName('VF', device.slot) ? 'VF' : 'PF';
  const tap = taps.find((each) => each.slot === device.slot && each.type === type && each.id === id);
  const network = functionClass === 'virtio-net';
  return {
    slot: device.slot,
    name: device.path.slice(device.path.lastIndexOf('/') + 1),
    id,
    type,
    class: functionClass,
    mac: network ? ((await textProperty(qmp, device.path, 'mac')) as Mac | null) : null,
    plugged: true,
    representor: network && id !== null && tap ? tap.name : null,
  };
}

function ofTap(tap: Tap): Found {
  const { id, slot, type, name } = tap;
  return { id, slot, name, type, class: 'virtio-net', mac: null, plugged: false, representor: name };
}

function backEndProperty(driver: string): string {
  if (driver === 'virtio-net-pci') return 'netdev';
  return driver === 'vhost-user-blk-pci' ? 'chardev' : 'drive';
}
