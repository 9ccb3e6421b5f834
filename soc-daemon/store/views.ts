import type { InstanceState } from '../../core/instance-state.ts';
import type { QosSpec } from '../../core/ports/network-binder.ts';
import type { FunctionRecord, InstanceRecord } from '../../core/records.ts';
import type { InstanceId } from '../../core/units.ts';
import type { Sql } from '../../kit/sqlite.ts';
import type { Instance, InstanceTask } from '../../schemas/generated/instance.ts';
import { readBindings, readFunctions, readInstance, unended } from './rows.ts';

/** What a scheduler sees of a state. */
function statusOf(state: InstanceState): Instance['status'] {
  if (state === 'active') return 'up';
  return state === 'error' ? 'error' : 'down';
}

/** What is done to the instance: the operation that runs, else the one that waits, else the one that is stuck. */
function taskOf(sql: Sql, instance: InstanceId): InstanceTask | null {
  const row = sql(`
    SELECT id, kind FROM operations WHERE instance = ? AND state IN ${unended}
    ORDER BY CASE state WHEN 'running' THEN 0 WHEN 'unwinding' THEN 0 WHEN 'queued' THEN 1 ELSE 2 END, seq LIMIT 1
  `).get(instance) as { id: string; kind: InstanceTask['kind'] } | undefined;
  if (!row) return null;
  const step = sql(
    "SELECT name FROM steps WHERE operation = ? AND phase IN ('doing', 'undoing') ORDER BY position LIMIT 1",
  ).get(row.id) as { name: string } | undefined;
  return { operation: row.id, kind: row.kind, step: step?.name ?? null };
}

/** The instance as the contract shows it (`schemas/instance.json`); null when it is unknown. */
export function readInstanceView(sql: Sql, id: InstanceId): Instance | null {
  const record = readInstance(sql, id);
  return record ? viewOf(sql, record) : null;
}

function viewOf(sql: Sql, record: InstanceRecord): Instance {
  const functions = new Map<string, FunctionRecord>(readFunctions(sql, record.id).map((each) => [each.id, each]));
  const bindings = readBindings(sql, record.id);
  const where = (functionId: string): Pick<FunctionRecord, 'bdf' | 'bdfState' | 'mac' | 'representor'> =>
    functions.get(functionId) ?? { bdf: null, bdfState: 'unknown', mac: null, representor: null };
  return {
    uuid: record.id,
    name: record.name,
    status: statusOf(record.state),
    state: record.state,
    task: taskOf(sql, record.id),
    flavor: { ...record.flavor },
    interfaces: bindings
      .filter((binding) => binding.kind === 'port')
      .map((binding) => {
        const { mac, bdf, bdfState, representor } = where(binding.functionId);
        return {
          port_id: binding.key,
          function_id: binding.functionId,
          mac,
          bdf,
          bdf_state: bdfState,
          representor,
          ips: [...binding.ips],
          qos: qosView(binding.qos),
        };
      }),
    volumes: bindings
      .filter((binding) => binding.kind === 'volume')
      .map((binding) => {
        const { bdf, bdfState } = where(binding.functionId);
        return {
          volume_id: binding.key,
          function_id: binding.functionId,
          bdf,
          bdf_state: bdfState,
          boot: binding.boot,
          size_bytes: binding.sizeBytes,
          read_only: binding.readOnly,
        };
      }),
    todo: record.todo ? { ...record.todo } : null,
    generation: record.generation,
  };
}

function qosView(qos: QosSpec | null): Instance['interfaces'][number]['qos'] {
  return qos === null ? null : { bps: qos.bitsPerSecond, pps: qos.packetsPerSecond, direction: qos.direction };
}
