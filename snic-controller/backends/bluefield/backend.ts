import { DpuError } from '../../../core/errors.ts';
import { createKeyedLock } from '../../../core/operation/keyed-lock.ts';
import { silentLog } from '../../../core/ports/log.ts';
import type { JsonObject } from '../../../core/units.ts';
import type { Backend, BackendSpec } from '../backend.ts';
import { createDevlink } from './devlink.ts';
import { createLinks } from './links.ts';
import { createNetworkPart } from './network-part.ts';
import type { BluefieldBackendOptions, BluefieldPrograms } from './options.ts';
import type { Part, Seen } from './part.ts';
import { hostRestricted } from './privhost.ts';
import { createProgram, type Program } from './run.ts';
import { createSnap } from './snap.ts';
import { createStoragePart } from './storage-part.ts';
import { createVfPart } from './vf-part.ts';
import { createVirtnet } from './virtnet.ts';
import { createWatch } from './watch.ts';

const programs: BluefieldPrograms = {
  virtnet: 'virtnet',
  devlink: 'devlink',
  ip: 'ip',
  mlxprivhost: 'mlxprivhost',
};

/**
 * An NVIDIA BlueField: network PFs by virtio-net-controller's `virtnet`, storage PFs by SNAP-4's JSON-RPC, VFs of the host's own physical function
 * by devlink. Written after the vendor's documentation and never run on a card: docs/hardware.md lists what is to be proved.
 *
 * The host gives addresses, late, and may give others after a power cycle; what stays is the VUID of a storage function, the SF of a network
 * function, and the number of a VF. Hidden from the host in the strict sense is a storage function alone: see the parts.
 */
export function createBluefieldBackend(options: BluefieldBackendOptions): Backend {
  const { clock, log = silentLog, network, snapSocket, vfs, hotplugPorts, mstDevice = null } = options;
  const { commandTimeoutMs = 10_000, hotplugTimeoutMs = 45_000, settleMs = 200, watchMs = 15_000 } = options;
  const paths = { ...programs, ...options.programs };
  const program = (name: keyof BluefieldPrograms): Program => createProgram(paths[name], commandTimeoutMs);
  const locks = createKeyedLock();
  const devlink = createDevlink(program('devlink'));
  const links = createLinks(program('ip'));
  const limits = { clock, locks, commandTimeoutMs, hotplugTimeoutMs, settleMs };
  const snap = snapSocket === null ? null : createSnap(snapSocket, commandTimeoutMs, clock);
  const networkPart =
    network && createNetworkPart({ network, virtnet: createVirtnet(program('virtnet')), devlink, links, ...limits });
  const storagePart = snap && createStoragePart({ snap, log, ...limits });
  const vfPart = vfs && createVfPart({ vfs, devlink, links });
  const parts: readonly Part[] = [networkPart, storagePart, vfPart].filter((each) => each !== null);

  const partFor = (spec: BackendSpec): Part => {
    const part = spec.type === 'VF' ? vfPart : spec.class === 'virtio-net' ? networkPart : storagePart;
    if (part) return part;
    throw new DpuError('unsupported', `this card makes no ${spec.type} of class ${spec.class}`, { field: 'class' });
  };
  const partOf = (reservation: JsonObject): Part => {
    const part = parts.find((each) => each.kind === reservation.kind);
    if (part) return part;
    throw new DpuError('internal', 'reservation is not of the BlueField backend as it is configured');
  };
  /** All that the parts see; one that can't be asked fails the whole, since what it does not tell would pass for gone. */
  const look = async (signal?: AbortSignal): Promise<readonly Seen[]> => {
    signal?.throwIfAborted();
    const found = (await Promise.all(parts.map((each) => each.list(signal)))).flat();
    // a VF may be listed by two: virtnet's own and the host's
    return [...new Map(found.map((each) => [each.state.key, each])).values()];
  };
  const list: Backend['list'] = async (signal) => (await look(signal)).map(({ state }) => state);

  /** @throws `exhausted` when the ports are taken by what is there and what is reserved and not there yet. */
  const requirePort = async (spec: BackendSpec, taken: readonly JsonObject[], signal?: AbortSignal): Promise<void> => {
    const found = await look(signal);
    if (found.some((each) => each.state.id === spec.id)) return;
    const used = new Set(found.flatMap((each) => (each.takesPort ? [each.state.key] : [])));
    const reserved = taken.filter((each) => partOf(each) !== vfPart);
    const unnamed = reserved.filter((each) => partOf(each).keyOf(each) === null).length;
    for (const each of reserved) {
      const key = partOf(each).keyOf(each);
      if (key !== null) used.add(key);
    }
    if (used.size + unnamed < hotplugPorts) return;
    throw new DpuError('exhausted', `every port for hot-plug is taken; the card has ${hotplugPorts}`);
  };

  const watch = createWatch({ list, clock, everyMs: watchMs });
  const unlisten = snap?.onConnected(watch.tell);

  return {
    name: 'bluefield',
    capabilities: async (signal) => {
      signal?.throwIfAborted();
      return {
        kinds: (await Promise.all(parts.map((each) => each.kinds(signal)))).flat(),
        vfs: vfs === null ? 'none' : 'claimed',
        bdf: 'host',
        set: { mac: 'unplugged', link: false, rate: true },
      };
    },
    describe: async (signal) => {
      const [found, restricted, ...pools] = await Promise.all([
        look(signal),
        hostRestricted(program('mlxprivhost'), mstDevice, signal),
        ...parts.map((each) => each.pool(signal)),
      ]);
      const used = found.filter((each) => each.takesPort).length;
      return {
        model: options.model,
        serialNumber: options.serialNumber ?? null,
        capacity: pools.reduce((sum, each) => sum + each.capacity, hotplugPorts),
        free: pools.reduce((sum, each) => sum + each.free, Math.max(0, hotplugPorts - used)),
        hostRestricted: restricted,
      };
    },
    reserve: async (spec, taken, signal) => {
      signal?.throwIfAborted();
      const part = partFor(spec);
      if (part !== vfPart) await requirePort(spec, taken, signal);
      return part.reserve(spec, taken, signal);
    },
    make: async (spec, reservation, signal, taken) => {
      signal?.throwIfAborted();
      return partOf(reservation).make(spec, reservation, signal, taken);
    },
    plug: async (spec, reservation, signal) => {
      signal?.throwIfAborted();
      return partOf(reservation).plug(spec, reservation, signal);
    },
    unplug: async (spec, reservation, how, signal) => {
      signal?.throwIfAborted();
      await partOf(reservation).unplug(spec, reservation, how, signal);
    },
    destroy: async (spec, reservation, signal, taken) => {
      signal?.throwIfAborted();
      await partOf(reservation).destroy(spec, reservation, signal, taken);
    },
    change: async (spec, reservation, change, signal) => {
      signal?.throwIfAborted();
      await partOf(reservation).change(spec, reservation, change, signal);
    },
    list,
    keyOf: (reservation) => partOf(reservation).keyOf(reservation),
    watch: watch.add,
    close: async () => {
      unlisten?.();
      watch.close();
      snap?.close();
    },
  };
}
