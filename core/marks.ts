/** Ownership marks, made in one place so that the same thing always carries the same mark. */

import type { DiskInput, InstanceInput, NicInput } from './operation/inputs.ts';
import type { NetworkPort } from './ports/network-service.ts';
import type { OwnershipMark } from './ports/ownership.ts';
import type { NodeId } from './units.ts';

/** The mark of all that serves a volume. */
export function diskMark(
  node: NodeId,
  of: InstanceInput,
  disk: Pick<DiskInput, 'boot' | 'volumeId'> & { readonly madeForInstance: boolean },
): OwnershipMark {
  return {
    node,
    instance: of.instance,
    role: disk.boot ? 'boot' : 'disk',
    key: disk.volumeId,
    name: of.name,
    flavor: of.flavor,
    deleteWithInstance: disk.madeForInstance,
  };
}

/** The mark of all that serves a port. */
export function nicMark(
  node: NodeId,
  of: InstanceInput,
  nic: Pick<NicInput, 'portId'>,
  port: Pick<NetworkPort, 'subnet' | 'ips' | 'madeForInstance'>,
): OwnershipMark {
  return {
    node,
    instance: of.instance,
    role: 'nic',
    key: nic.portId,
    name: of.name,
    flavor: of.flavor,
    deleteWithInstance: port.madeForInstance,
    port: { subnet: port.subnet, ips: port.ips },
  };
}
