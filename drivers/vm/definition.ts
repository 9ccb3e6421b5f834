import { DpuError } from '../../core/errors.ts';
import type { DomainDevice, DomainSpec, HostAgent } from '../../core/ports/host-agent.ts';
import type { FunctionState, SnicController } from '../../core/ports/snic-controller.ts';
import type { Flavor } from '../../core/records.ts';
import type { FunctionId, InstanceId, NodeId } from '../../core/units.ts';

/** What a definition is read from. */
interface DefinitionParts {
  readonly snic: SnicController;
  readonly agent: HostAgent;
  readonly node: NodeId;
}

/** Which machine, and what of it is to be otherwise than it is. */
export interface Wanted {
  readonly instance: InstanceId;
  /** The disk to start from; null: none is known. */
  readonly boot: FunctionId | null;
  /** Name and sizes; null: as the machine has them, or as the marks of its functions tell. */
  readonly make: { readonly name: string; readonly flavor: Flavor } | null;
}

/**
 * The definition of a machine as things are now: the functions of the instance that the host can see, at their present addresses. So a machine
 * that is started after the host gave other addresses finds its devices.
 * @throws `timeout` while the host has not found them all, `not_found` when nothing tells what the machine is.
 */
export async function definitionOf(parts: DefinitionParts, wanted: Wanted, signal: AbortSignal): Promise<DomainSpec> {
  const { instance, boot } = wanted;
  const { snic, agent, node } = parts;
  const [functions, domains] = await Promise.all([snic.listFunctions(signal), agent.listDomains(signal)]);
  const plugged = functions.filter(
    ({ mark, plugged: seen }) => seen && mark?.node === node && mark.instance === instance,
  );
  const named = wanted.make ?? domains.find((each) => each.instance === instance) ?? plugged[0]?.mark;
  if (!named) throw new DpuError('not_found', `nothing tells what machine ${instance} is`);
  const devices = plugged.map((each) => deviceOf(each, boot));
  const { name, flavor } = named;
  return { instance, node, name, flavor, firmware: 'uefi', devices };
}

/** A function as a device of a machine. @throws `timeout` while the host has not found it. */
export function deviceOf(state: FunctionState, boot: FunctionId | null): DomainDevice {
  const { id, bdf, mac } = state;
  if (bdf === null) throw new DpuError('timeout', `host has not found function ${id} yet`);
  const kind = state.class === 'virtio-net' ? 'nic' : 'disk';
  return { functionId: id, kind, bdf, mac: kind === 'nic' ? mac : null, bootOrder: id === boot ? 1 : null };
}
