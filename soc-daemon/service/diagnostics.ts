import { DpuError } from '../../core/errors.ts';
import type { ComputeDriver } from '../../core/ports/compute-driver.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import { asId, type InstanceId } from '../../core/units.ts';
import type { Diagnostics } from '../../schemas/generated/rest.ts';

/** What an instance's machine used since it was started. @throws `not_found`, `unsupported` (no machine: its host tells it to nobody), as the agent. */
export async function diagnosticsOf(
  parts: { readonly store: NodeStore; readonly driver: ComputeDriver },
  uuid: string,
  signal?: AbortSignal,
): Promise<Diagnostics> {
  const { store, driver } = parts;
  const instance = asId<InstanceId>(uuid);
  const record = store.getInstance(instance);
  if (!record || record.state === 'deleted') {
    throw new DpuError('not_found', 'instance does not exist', { field: 'uuid' });
  }
  if (!driver.machines)
    throw new DpuError('unsupported', `a ${driver.nodeType} node knows no counters of its instance`);
  const used = await driver.machines.diagnostics(instance, signal);
  const bindings = new Map(store.bindings(instance).map((each) => [each.functionId, each.key]));
  return {
    state: used.state,
    uptime_s: Math.floor(used.uptimeMs / 1000),
    vcpus: record.flavor.vcpus,
    cpu_time_ms: used.cpuTimeMs,
    memory_mib: used.memoryMib,
    disks: used.disks.map((each) => ({
      volume_id: bindings.get(each.functionId) ?? null,
      read_bytes: each.readBytes,
      read_requests: each.readRequests,
      written_bytes: each.writtenBytes,
      write_requests: each.writeRequests,
    })),
    nics: used.nics.map((each) => ({
      port_id: bindings.get(each.functionId) ?? null,
      mac: each.mac,
      received_bytes: each.receivedBytes,
      received_packets: each.receivedPackets,
      sent_bytes: each.sentBytes,
      sent_packets: each.sentPackets,
    })),
  };
}
