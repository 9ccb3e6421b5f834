/** Inputs of plans that resize an instance or move it: what the store knows when the operation leaves its queue. */

import type { DiskInput, NicInput } from '../../core/operation/inputs.ts';
import type { OperationRecord } from '../../core/operation/journal.ts';
import type {
  AbortMigrationInput,
  FinishMigrationInput,
  PrepareMigrationInput,
} from '../../core/operation/machine-inputs.ts';
import type { NodeStore } from '../../core/ports/node-store.ts';
import type { BindingRecord } from '../../core/records.ts';
import { asId, type FunctionId, type JsonObject, type PortId, type VolumeId } from '../../core/units.ts';

type Rows = Pick<NodeStore, 'bindings' | 'getInstance'>;

/** How long a guest may take to shut down before its power is taken away. */
const softTimeoutMs = 60_000;

const ran = ({ stateBefore }: OperationRecord): boolean => stateBefore === 'active';

/** Input of `resize`, beside what its request has. */
export function resizeMachineInput(operation: OperationRecord, boot: FunctionId | null): JsonObject {
  return { ...operation.request, boot, ran: ran(operation), softTimeoutMs };
}

/** Input of `prepare_migration`. */
export function prepareMigrationInput(
  operation: OperationRecord,
  functions: PrepareMigrationInput['functions'],
): PrepareMigrationInput {
  return { instance: operation.instance, functions, ran: ran(operation), softTimeoutMs };
}

/** Input of `finish_migration`. */
export function finishMigrationInput(
  { instance }: OperationRecord,
  functions: FinishMigrationInput['functions'],
): FinishMigrationInput {
  return { instance, functions };
}

/** Input of `abort_migration`: the devices by the rows that were kept. */
export function abortMigrationInput(
  rows: Rows,
  { instance }: OperationRecord,
  nodeType: 'BM' | 'VM',
): AbortMigrationInput {
  const record = rows.getInstance(instance);
  const bindings = rows.bindings(instance);
  return {
    instance,
    name: record?.name ?? instance,
    flavor: record?.flavor ?? { name: 'unknown', vcpus: 1, memory_mib: 1 },
    disks: bindings.filter((each) => each.kind === 'volume').map(diskOf),
    nics: bindings.filter((each) => each.kind === 'port').map((each) => nicOf(each, nodeType)),
  };
}

function diskOf({ key, functionId, boot, readOnly, sizeBytes, connectionSecret }: BindingRecord): DiskInput {
  const volumeId = asId<VolumeId>(key);
  return { volumeId, functionId, boot, readOnly, sizeBytes: sizeBytes ?? 0, fromImage: null, connectionSecret };
}

/** The port is there: it keeps its address, and is asked for no other. */
function nicOf({ key, functionId }: BindingRecord, nodeType: 'BM' | 'VM'): NicInput {
  return { portId: asId<PortId>(key), functionId, subnet: null, mac: null, type: nodeType === 'VM' ? 'VF' : 'PF' };
}
