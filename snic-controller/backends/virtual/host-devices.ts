import { CommandError, pciFunctions, type QmpClient } from 'qmp-client';
import { maxSlots, slotOfPort } from './slot.ts';

/** A device in a root port of the host. */
export interface HostDevice {
  readonly slot: number;
  /** Its path in QEMU's object model. */
  readonly path: string;
  /** The id that it was added with; empty where there was none. */
  readonly name: string;
  readonly driver: string;
}

/** The host's root ports and what is in them, also before its firmware ran. */
export interface HostView {
  /** Slots that there are, ascending. */
  readonly slots: readonly number[];
  readonly devices: readonly HostDevice[];
  /** Whether the host is off, so that nobody in it can let go of a device. */
  readonly off: boolean;
  /** Whether it has been reset and not been on since: then no bus has a number. */
  readonly fresh: boolean;
}

/**
 * What a device was added with, which stays so as long as it is there: a session asks once. Forgotten with the device: at the event that tells of
 * its end, and when a look does not find it.
 */
const knownProperties = new WeakMap<QmpClient, Map<string, Map<string, string | null>>>();

function knownOf(qmp: QmpClient): Map<string, Map<string, string | null>> {
  const known = knownProperties.get(qmp);
  if (known !== undefined) return known;
  const fresh = new Map<string, Map<string, string | null>>();
  knownProperties.set(qmp, fresh);
  void forgetDeleted(qmp, fresh);
  return fresh;
}

async function forgetDeleted(qmp: QmpClient, known: Map<string, unknown>): Promise<void> {
  try {
    for await (const { data } of qmp.events({ names: ['DEVICE_DELETED'] })) known.delete(String(data?.path));
  } catch {
    // the session was lost, and what it knew goes with it
  }
}

/**
 * Whether the host is off: waiting for its first start or after a reset while it did not run, or shut down by its own system. `paused` is
 * not off: somebody stopped it, and it will go on where it was.
 */
export async function isOff(qmp: QmpClient): Promise<boolean> {
  return (await powerOf(qmp)).off;
}

async function powerOf(qmp: QmpClient): Promise<Pick<HostView, 'off' | 'fresh'>> {
  const { status } = await qmp.execute('query-status');
  const fresh = status === 'prelaunch';
  return { off: fresh || status === 'shutdown', fresh };
}

/** Looks at the host's root ports. */
export async function viewHost(qmp: QmpClient): Promise<HostView> {
  const parts = await Promise.all(
    ['/machine/peripheral', '/machine/peripheral-anon'].map(async (parent) => {
      const list = await qmp.execute('qom-list', { path: parent });
      return list.flatMap(({ name, type }) => {
        const driver = /^child<(.+)>$/.exec(type)?.[1];
        if (driver === undefined) return [];
        return [{ path: `${parent}/${name}`, name: parent.endsWith('anon') ? '' : name, driver }];
      });
    }),
  );
  const all = parts.flat();
  const slots = all.flatMap(({ name, driver }) => (driver === 'pcie-root-port' ? (slotOfPort(name) ?? []) : []));
  const others = all.filter(({ driver }) => driver !== 'pcie-root-port');
  const known = knownOf(qmp);
  for (const path of known.keys()) if (!others.some((each) => each.path === path)) known.delete(path);
  const devices = await Promise.all(
    others.map(async (each) => {
      const slot = await slotOfDevice(qmp, each.path);
      return slot === null ? [] : [{ ...each, slot }];
    }),
  );
  return {
    slots: slots.filter((each) => each < maxSlots).toSorted((a, b) => a - b),
    devices: devices.flat().toSorted((a, b) => a.slot - b.slot || a.path.localeCompare(b.path)),
    ...(await powerOf(qmp)),
  };
}

/** The numbers that the host gave to the buses behind its root ports; a port that it has not numbered yet is absent. */
export async function secondaryBuses(qmp: QmpClient): Promise<ReadonlyMap<number, number>> {
  const buses = new Map<number, number>();
  for (const each of pciFunctions(await qmp.execute('query-pci'))) {
    const slot = slotOfPort(each.qdev_id);
    const number = each.pci_bridge?.bus.secondary ?? 0;
    if (slot !== null && number !== 0) buses.set(slot, number);
  }
  return buses;
}

/** What a device was added with, as text; null where it has no such property or is gone. */
export async function textProperty(qmp: QmpClient, path: string, property: string): Promise<string | null> {
  const known = knownOf(qmp);
  const before = known.get(path)?.get(property);
  if (before !== undefined) return before;
  try {
    const value = await qmp.execute('qom-get', { path, property });
    const text = typeof value === 'string' && value !== '' ? value : null;
    const own = known.get(path) ?? new Map<string, string | null>();
    known.set(path, own.set(property, text));
    return text;
  } catch (error) {
    if (error instanceof CommandError) return null; // it went away meanwhile, or is of another kind
    throw error;
  }
}

async function slotOfDevice(qmp: QmpClient, path: string): Promise<number | null> {
  const bus = await textProperty(qmp, path, 'parent_bus');
  return slotOfPort(bus?.split('/').at(-1) ?? '');
}
