import type { BackendFunction } from '../backend.ts';
import type { DevlinkPort } from './devlink.ts';
import type { Link, RepresentorMark } from './links.ts';
import type { BluefieldNetwork } from './options.ts';
import type { VirtnetDevice } from './virtnet.ts';

/** A device of virtnet with its representor. */
export interface NetworkFunction {
  readonly device: VirtnetDevice;
  /** Its number, if it is on the port that we use. */
  readonly sf: number | null;
  readonly port: DevlinkPort | null;
  readonly mark: RepresentorMark | null;
  readonly state: BackendFunction;
}

/** The key of the function on an SF of our port. */
export function sfKey(sf: number): string {
  return `sf-${sf}`;
}

/** Puts together what virtnet, devlink and the kernel tell of one device. */
export function viewDevice(
  device: VirtnetDevice,
  ports: readonly DevlinkPort[],
  links: ReadonlyMap<string, Link>,
  network: BluefieldNetwork,
): NetworkFunction {
  const onOurPort = device.kind === 'hotplug' && (device.device === null || device.device === network.device);
  const named = ports.filter((each) => each.flavour === 'pcisf' && each.netdev === device.representor);
  const sf = onOurPort ? (device.sf ?? named.find((each) => each.pfnum === network.pfnum)?.sfnum ?? null) : null;
  const port = (sf === null ? named[0] : representorOf(sf, ports, network, device.representor)) ?? null;
  const representor = port?.netdev ?? device.representor;
  const link = representor === null ? undefined : links.get(representor);
  const mark = link?.mark ?? null;
  const { address, mac, vuid, pfId, vfId, kind } = device;
  return {
    device,
    sf,
    port,
    mark,
    state: {
      key: sf === null ? `virtnet-${vuid ?? [pfId, vfId].filter((each) => each !== null).join('-')}` : sfKey(sf),
      id: sf === null ? null : (mark?.id ?? null),
      type: kind === 'vf' ? 'VF' : 'PF',
      class: 'virtio-net',
      mac,
      ...address,
      // one without a mark is another's, or ours after its representor was made anew
      plugged: mark?.shown ?? (kind === 'hotplug' && link !== undefined ? link.up : true),
      unplugPending: false,
      representor,
      vuid,
    },
  };
}

/** The port of an SF by its attributes; where two controllers have the number, the one that virtnet named. */
function representorOf(
  sf: number,
  ports: readonly DevlinkPort[],
  { pfnum }: BluefieldNetwork,
  named: string | null,
): DevlinkPort | undefined {
  const all = ports.filter((each) => each.flavour === 'pcisf' && each.sfnum === sf && each.pfnum === pfnum);
  return all.length > 1 ? all.find((each) => each.netdev === named) : all[0];
}
