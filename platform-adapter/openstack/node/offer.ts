import type { NodeStatus } from '../../../schemas/generated/node-status.ts';
import type { Inventory } from '../rest/placement.ts';
import type { NodeSettings } from './settings.ts';

/** What a node offers in Placement. */
export interface Offer {
  /** By resource class. */
  readonly inventories: Readonly<Record<string, Inventory>>;
  readonly traits: readonly string[];
}

/** Keeps a host out of scheduling; nova's scheduler asks for its absence. */
export const disabledTrait = 'COMPUTE_STATUS_DISABLED';

/** Part of a name of a custom class or trait: upper case, digits, underscores, as nova and Ironic normalise it. */
export function customName(...parts: readonly string[]): string {
  return [
    'CUSTOM',
    ...parts.map((part) =>
      part
        .toUpperCase()
        .replaceAll(/[^A-Z0-9]+/g, '_')
        .replaceAll(/^_|_$/g, ''),
    ),
  ].join('_');
}

/** The class of a whole bare-metal node. */
export function bareMetalClass(settings: Pick<NodeSettings, 'bareMetalClass'>): string {
  return customName('BAREMETAL', settings.bareMetalClass);
}

/** Whether a trait is ours to set and to take away; others are an operator's. */
export function isOurTrait(name: string): boolean {
  return name.startsWith('COMPUTE_') || name.startsWith('CUSTOM_DPU_');
}

function inventory(total: number, reserved: number, allocationRatio: number): Inventory {
  return { total, reserved: Math.min(reserved, total), minUnit: 1, maxUnit: total, stepSize: 1, allocationRatio };
}

/**
 * A bare-metal node offers one of its class and nothing else, as Ironic's nodes do: a flavor asks for the class with
 * `resources:CUSTOM_BAREMETAL_X=1` and puts VCPU, MEMORY_MB and DISK_GB to 0. So it takes exactly one server, and no flavor for VMs
 * fits. A node for VMs offers CPUs, memory and disk, and its DPU once (`CUSTOM_DPU`) for a flavor that wants it to itself.
 * What servers that nova doesn't know of hold is reserved.
 */
export function offerOf(
  settings: NodeSettings,
  status: NodeStatus,
  nova: { readonly servers: ReadonlySet<string>; readonly disabled: boolean },
): Offer {
  const strangers = status.instances.filter(({ uuid }) => !nova.servers.has(uuid));
  const traits = [
    ...settings.traits,
    customName('DPU', status.DPU_model),
    customName('DPU', 'NODE', status.node_type),
    ...(nova.disabled || !status.ready ? [disabledTrait] : []),
  ];
  if (status.node_type === 'BM') {
    return { inventories: { [bareMetalClass(settings)]: inventory(1, strangers.length, 1) }, traits };
  }
  const sum = (amount: (flavor: { vcpus: number; memory_mib: number }) => number): number =>
    strangers.reduce((all, { flavor }) => all + amount(flavor), 0);
  const offered: Readonly<Record<string, Inventory>> = {
    VCPU: inventory(status.total_cpu, settings.reservedCpus + sum(({ vcpus }) => vcpus), settings.cpuAllocationRatio),
    MEMORY_MB: inventory(
      status.total_mem,
      settings.reservedMemoryMb + sum(({ memory_mib }) => memory_mib),
      settings.ramAllocationRatio,
    ),
    DISK_GB: inventory(settings.diskGb, 0, settings.diskAllocationRatio),
    [customName('DPU')]: inventory(1, 0, 1),
  };
  // Placement refuses a total of 0: what there is nothing of is not offered
  const there = Object.entries(offered).filter(([, { total }]) => total > 0);
  return { inventories: Object.fromEntries(there), traits };
}
