import { DpuError, hasCode } from '../../../core/errors.ts';
import type { Json, JsonObject } from '../../../core/units.ts';
import type { BackendFunction, BackendSpec } from '../backend.ts';
import type { Devlink, DevlinkPort } from './devlink.ts';
import type { Link, Links, RepresentorMark } from './links.ts';
import type { BluefieldVfs } from './options.ts';
import type { Part } from './part.ts';

/** What VFs are claimed with. */
export interface VfTools {
  readonly vfs: BluefieldVfs;
  readonly devlink: Devlink;
  readonly links: Links;
}

/** A VF of the host's with its representor. */
interface HostVf {
  readonly port: DevlinkPort;
  readonly netdev: string;
  readonly mark: RepresentorMark | null;
  readonly state: BackendFunction;
}

const kind = 'vf';

/**
 * VFs of the host's own physical function. The host brings them into being (`sriov_numvfs`), which the SoC can't; one is claimed by marking its
 * representor and giving it its MAC. It stays in the host's sight: hidden is one without a carrier. Free are those without mark and MAC; one with a
 * MAC that is not ours is somebody's. Its address on the host is not known to the SoC.
 *
 * A reservation is `{kind: 'vf', device, controller, pfnum, vfnum}`: devlink's attributes, whatever the representor's name is.
 */
export function createVfPart({ vfs, devlink, links }: VfTools): Part {
  const look = async (signal?: AbortSignal): Promise<readonly HostVf[]> => {
    const [ports, interfaces] = await Promise.all([devlink.ports(signal), links.list(signal)]);
    return ports.flatMap((port) => {
      const { netdev, flavour, pfnum, controller, vfnum } = port;
      if (netdev === null || vfnum === null || flavour !== 'pcivf' || pfnum !== vfs.pfnum) return [];
      if ((controller ?? vfs.controller) !== vfs.controller) return [];
      return [viewVf(port, netdev, interfaces.get(netdev))];
    });
  };
  const isFree = ({ mark, port }: HostVf): boolean => mark === null && port.mac === null;

  /** The reservation's VF. @throws `not_found` where the host took it away, `conflict` where another has it. */
  const claim = async (spec: BackendSpec, reservation: JsonObject, signal?: AbortSignal): Promise<HostVf> => {
    const found = await find(reservation, signal);
    if (!found) throw new DpuError('not_found', `host has no VF for function ${spec.id} any more`);
    if (isFree(found) || isOurs(found, spec)) return found;
    throw new DpuError('conflict', `the VF of function ${spec.id} is another's`);
  };
  const find = async (reservation: JsonObject, signal?: AbortSignal): Promise<HostVf | undefined> => {
    const key = keyOf(reservation);
    return (await look(signal)).find((each) => each.state.key === key);
  };

  const setMac = async (found: HostVf, mac: BackendSpec['mac'], signal?: AbortSignal): Promise<void> => {
    if (found.port.mac === mac) return;
    try {
      await devlink.setMac(found.port.handle, mac, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (!hasCode(error, 'hardware')) throw error;
      // devlink tells the reason in words alone; that the host's driver has the VF is the one that can be mended
      throw new DpuError('bad_state', `MAC of ${found.netdev} can't be set: the host's driver may be bound`, {
        cause: error,
      });
    }
  };

  return {
    kind,
    kinds: async () => [{ type: 'VF', class: 'virtio-net', features: [] }],
    pool: async (signal) => {
      const all = await look(signal);
      return { capacity: all.length, free: all.filter(isFree).length };
    },
    reserve: async (spec, taken, signal) => {
      if (spec.parent !== null) {
        throw new DpuError('unsupported', "VFs are those of the host's own physical function", { field: 'parent' });
      }
      const all = await look(signal);
      const others = new Set(taken.flatMap((each) => (each.kind === kind ? [keyOf(each)] : [])));
      const free = all.filter(({ state }) => !others.has(state.key));
      const chosen = free.find((each) => each.mark?.id === spec.id) ?? free.find(isFree);
      if (!chosen) throw new DpuError('exhausted', `every VF of the host's is taken; it has ${all.length}`);
      const { device, controller, pfnum, vfnum } = chosen.port;
      return { kind, device, controller, pfnum, vfnum };
    },
    make: async (spec, reservation, signal) => {
      const found = await claim(spec, reservation, signal);
      const shown = found.mark?.shown ?? false;
      if (!found.mark) await links.hide(found.netdev, { id: spec.id, shown }, signal);
      await setMac(found, spec.mac, signal);
      return { reservation, state: { ...found.state, id: spec.id, mac: spec.mac, plugged: shown } };
    },
    plug: async (spec, reservation, signal) => {
      const found = await claim(spec, reservation, signal);
      await setMac(found, spec.mac, signal);
      await links.mark(found.netdev, { id: spec.id, shown: true }, signal);
      return { ...found.state, id: spec.id, mac: spec.mac, plugged: true };
    },
    unplug: async (spec, reservation, _options, signal) => {
      const found = await find(reservation, signal);
      if (!found || !isOurs(found, spec)) return;
      await links.hide(found.netdev, { id: spec.id, shown: false }, signal);
    },
    destroy: async (spec, reservation, signal) => {
      const found = await find(reservation, signal);
      if (!found || !isOurs(found, spec)) return;
      if (found.mark?.shown) throw new DpuError('bad_state', `function ${spec.id} is plugged`);
      try {
        await setMac(found, null, signal);
      } catch (error) {
        if (!hasCode(error, 'bad_state')) throw error;
        throw new DpuError('busy', `host did not release function ${spec.id}`, { cause: error });
      }
      await links.hide(found.netdev, null, signal);
    },
    change: async (spec, reservation, { mac, link, rateBitsPerSecond: rate }, signal) => {
      if (link !== undefined) throw new DpuError('unsupported', 'link of a function can not be set', { field: 'link' });
      const found = await claim(spec, reservation, signal);
      if (mac !== undefined) await setMac(found, mac, signal);
      if (rate !== undefined) await devlink.setRate(found.port.handle, rate, signal);
    },
    // a free one is room, and nobody's function
    list: async (signal) =>
      (await look(signal)).filter((each) => !isFree(each)).map(({ state }) => ({ state, takesPort: false })),
    keyOf,
  };
}

function viewVf(port: DevlinkPort, netdev: string, link: Link | undefined): HostVf {
  const { device, controller, pfnum, vfnum } = port;
  const mark = link?.mark ?? null;
  const state: BackendFunction = {
    key: keyOf({ device, controller, pfnum, vfnum }),
    id: mark?.id ?? null,
    type: 'VF',
    class: 'virtio-net',
    mac: port.mac,
    bdf: null,
    bdfState: 'unknown',
    plugged: mark?.shown ?? link?.up ?? false,
    unplugPending: false,
    representor: netdev,
    vuid: null,
  };
  return { port, netdev, mark, state };
}

function isOurs({ mark, port }: HostVf, spec: BackendSpec): boolean {
  return mark ? mark.id === spec.id : port.mac !== null && port.mac === spec.mac;
}

/** @throws `internal` for a reservation of somebody else. */
function keyOf({ device, controller, pfnum, vfnum }: { readonly [key: string]: Json }): string {
  if (typeof device === 'string' && typeof pfnum === 'number' && typeof vfnum === 'number') {
    return `vf-${device}-c${controller ?? ''}pf${pfnum}vf${vfnum}`;
  }
  throw new DpuError('internal', 'reservation is not of the BlueField backend');
}
