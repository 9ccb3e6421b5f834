import { DpuError } from '../../core/errors.ts';
import type { NetworkBinding } from '../../core/ports/network-binder.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import { asId, type Mac, type NodeId, type PortId } from '../../core/units.ts';
import { isOurs, maxSlot, readFunction, readMark, readQos, readSlot } from './external-ids.ts';
import type { Segment } from './port-transactions.ts';
import type { SwitchPort } from './tables.ts';

/** A port's id: its `iface-id`, and its name where it has none. */
export function idOf({ port, nic }: SwitchPort): PortId {
  return asId<PortId>(nic.external_ids.get('iface-id') ?? port.name);
}

/** The port with the id. */
export function findPort(ports: readonly SwitchPort[], id: PortId): SwitchPort | undefined {
  return ports.find((each) => idOf(each) === id);
}

/** Whether it is a port of an instance that we made, and not a tunnel or another thing of ours. */
export function isInstancePort({ nic }: SwitchPort, node: NodeId): boolean {
  return isOurs(nic.external_ids, node) && nic.external_ids.has('iface-id');
}

/** A port as a binding. */
export function bindingOf(each: SwitchPort, node: NodeId, healthy: boolean): NetworkBinding {
  const { port, nic } = each;
  const ids = nic.external_ids;
  const ours = isOurs(ids, node);
  return {
    portId: idOf(each),
    functionId: ours ? readFunction(ids) : null,
    representor: (ours ? ids.get('dpu-representor') : undefined) ?? port.name,
    mac: (ids.get('attached-mac') as Mac | undefined) ?? null,
    healthy,
    qos: ours ? readQos(ids) : null,
    mark: readMark(ids, node),
  };
}

/** Numbers that ports have. */
export function slotsOf(ports: readonly SwitchPort[]): ReadonlySet<number> {
  return new Set(ports.flatMap((each) => readSlot(each.nic.external_ids) ?? []));
}

/** A number that no port has. @throws `exhausted`. */
export function freeSlot(taken: ReadonlySet<number>): number {
  let slot = 1;
  while (taken.has(slot)) slot += 1;
  if (slot > maxSlot) throw new DpuError('exhausted', 'the bridge has no number left for a port');
  return slot;
}

/** VLANs and MTU of a port: its subnet's. */
export function segmentOf(segments: Readonly<Record<string, Segment>>, mark: OwnershipMark): Segment {
  return segments[mark.port?.subnet ?? ''] ?? {};
}
