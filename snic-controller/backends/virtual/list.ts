import type { FunctionClass, FunctionType } from '../../../core/ports/snic-controller.ts';
import type { Mac } from '../../../core/units.ts';
import type { QmpClient } from '../../../packages/qmp-client/src/index.ts';
import type { BackendFunction } from '../backend.ts';
import { classOfDriver } from './device-model.ts';
import { type HostDevice, type HostView, secondaryBuses, textProperty, viewHost } from './host-devices.ts';
import { backEndName, bdfOf, functionOfDevice, portName } from './slot.ts';
import type { Tap, Taps } from './taps.ts';
import { pendingSlots } from './unplug.ts';

/** A function without what is the same for all of a slot. */
type Found = Pick<BackendFunction, 'id' | 'type' | 'class' | 'mac' | 'plugged' | 'representor'> & {
  readonly slot: number;
};

/**
 * All functions that QEMU or the kernel show: the devices in root ports, and the taps with a representor's name. Ours come first in their slot,
 * so that they have its key; whatever else sits in the same slot has a key beside it.
 */
export async function listFunctions(
  qmp: QmpClient,
  taps: Taps,
  signal: AbortSignal | undefined,
): Promise<readonly BackendFunction[]> {
  const view = await viewHost(qmp);
  const representors = await taps.list(signal);
  const buses = await secondaryBuses(qmp);
  const pending = await pendingSlots(qmp);
  const plugged = await Promise.all(view.devices.map((each) => ofDevice(qmp, each, representors)));
  const shown = new Set(plugged.map((each) => each.representor));
  const found = [...plugged, ...representors.filter((each) => !shown.has(each.name)).map(ofTap)];
  const slots = [...new Set(found.map((each) => each.slot))].toSorted((a, b) => a - b);
  return slots.flatMap((slot) => {
    const here = found.filter((each) => each.slot === slot);
    const ordered = [...here.filter((each) => each.id !== null), ...here.filter((each) => each.id === null)];
    return ordered.map(({ slot: _slot, ...each }, index) => {
      const bdf = bdfOf(slot, buses.get(slot));
      return {
        ...each,
        key: index === 0 ? portName(slot) : `${portName(slot)}.${index}`,
        bdf,
        bdfState: bdf === bdfOf(slot) ? ('assigned' as const) : ('changed' as const),
        unplugPending: each.plugged && each.id !== null && pending.has(slot),
        vuid: null,
      };
    });
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
  return { id, slot, type, class: 'virtio-net', mac: null, plugged: false, representor: name };
}

function backEndProperty(driver: string): string {
  if (driver === 'virtio-net-pci') return 'netdev';
  return driver === 'vhost-user-blk-pci' ? 'chardev' : 'drive';
}
