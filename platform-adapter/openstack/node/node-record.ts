import type { Json, JsonObject } from '../../../core/units.ts';
import type { NodeStatus } from '../../../schemas/generated/node-status.ts';
import type { NovaInstance } from '../wire/instances.ts';
import type { NodeSettings } from './settings.ts';

/** What the record is made from. */
export interface NodeFacts {
  readonly settings: NodeSettings;
  readonly status: NodeStatus;
  /** nova's servers on the node. */
  readonly instances: readonly NovaInstance[];
  /** The node's HVSpec. */
  readonly spec: Json;
  /** Builds that failed here since the last that did not. */
  readonly failedBuilds: number;
}

/** Virtualisation as nova names it: hypervisor_type and HVSpec's hv_type. */
export function hypervisorOf(status: NodeStatus): { readonly type: string; readonly spec: string } {
  return status.node_type === 'BM' ? { type: 'baremetal', spec: 'baremetal' } : { type: 'QEMU', spec: 'kvm' };
}

/** What the node is: the fields of its record that servers don't change. */
export function nodeFields({ settings, status, spec }: NodeFacts): JsonObject {
  const { type } = hypervisorOf(status);
  return {
    host: settings.host,
    hypervisor_hostname: settings.node,
    hypervisor_type: type,
    hypervisor_version: 1,
    vcpus: status.total_cpu,
    memory_mb: status.total_mem,
    local_gb: status.node_type === 'BM' ? 0 : settings.diskGb,
    disk_available_least: 0,
    cpu_info: JSON.stringify({ arch: settings.arch }),
    host_ip: settings.hostIp,
    numa_topology: null,
    supported_hv_specs: [spec],
    cpu_allocation_ratio: status.node_type === 'BM' ? 1 : settings.cpuAllocationRatio,
    ram_allocation_ratio: status.node_type === 'BM' ? 1 : settings.ramAllocationRatio,
    disk_allocation_ratio: settings.diskAllocationRatio,
  };
}

/**
 * What servers use of it. The scheduler drops a node silently whose free_ram_mb and free_disk_gb it does not know. A
 * bare-metal node is used wholly or not at all.
 */
export function usageFields({ settings, status, instances, failedBuilds }: NodeFacts): JsonObject {
  const here = instances.filter(holdsResources);
  const isBm = status.node_type === 'BM';
  const sum = (amount: (each: NovaInstance) => number): number => here.reduce((all, each) => all + amount(each), 0);
  const whole = here.length > 0;
  const total = { vcpus: status.total_cpu, memory: status.total_mem, disk: isBm ? 0 : settings.diskGb };
  const used = isBm
    ? { vcpus: whole ? total.vcpus : 0, memory: whole ? total.memory : 0, disk: 0 }
    : {
        vcpus: settings.reservedCpus + sum(({ vcpus }) => vcpus ?? 0),
        memory: settings.reservedMemoryMb + sum(({ memory_mb }) => memory_mb ?? 0),
        disk: sum(({ root_gb, ephemeral_gb }) => (root_gb ?? 0) + (ephemeral_gb ?? 0)),
      };
  return {
    vcpus_used: used.vcpus,
    memory_mb_used: used.memory,
    local_gb_used: used.disk,
    free_ram_mb: total.memory - used.memory,
    free_disk_gb: total.disk - used.disk,
    running_vms: here.length,
    current_workload: here.filter(({ task_state }) => task_state !== null).length,
    metrics: '[]',
    stats: statsOf(here, failedBuilds),
  };
}

/** Whether a server holds resources of its host (nova's vm_states.allow_resource_removal, the other way round). */
export function holdsResources({ vm_state }: NovaInstance): boolean {
  return vm_state !== 'deleted' && vm_state !== 'shelved_offloaded';
}

/** Tasks that count as load of disks and network (nova's Stats.io_workload). */
const heavyTasks: ReadonlySet<string> = new Set([
  'resize_migrating',
  'rebuilding',
  'resize_prep',
  'image_snapshot',
  'image_backup',
  'rescuing',
  'unshelving',
]);

/** Counts for the scheduler's filters and weighers, in the words of nova's Stats. */
function statsOf(instances: readonly NovaInstance[], failedBuilds: number): JsonObject {
  const stats: Record<string, number> = { num_instances: 0 };
  const count = (name: string): void => {
    stats[name] = (stats[name] ?? 0) + 1;
  };
  let heavy = 0;
  for (const { vm_state, task_state, os_type, project_id } of instances) {
    count('num_instances');
    count(`num_vm_${vm_state ?? 'None'}`);
    count(`num_task_${task_state ?? 'None'}`);
    count(`num_os_type_${os_type ?? 'None'}`);
    count(`num_proj_${project_id ?? 'None'}`);
    if (vm_state === 'building') heavy += 1;
    if (task_state !== null && heavyTasks.has(task_state)) heavy += 1;
  }
  const all = { failed_builds: failedBuilds, ...stats, io_workload: heavy };
  return Object.fromEntries(Object.entries(all).map(([name, value]) => [name, String(value)]));
}
