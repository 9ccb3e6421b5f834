/** What the peers have against what the store says, for one instance: the work that brings them together, as data. */

import { diskFunctionId, rescueFunctionId } from '../../core/derived-ids.ts';
import { type InstanceState, stateObserved } from '../../core/instance-state.ts';
import type { WantedMachine } from '../../core/ports/compute-driver.ts';
import type { QosSpec } from '../../core/ports/network-binder.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { PowerState } from '../../core/ports/power-controller.ts';
import type { FunctionState } from '../../core/ports/snic-controller.ts';
import type { BindingRecord, FunctionRecord, InstanceRecord, RecordChange } from '../../core/records.ts';
import type { FunctionId, InstanceId, PortId, VolumeId } from '../../core/units.ts';
import type { Observation } from './observe.ts';

/** A piece of work; they are done in the order in which they are listed. */
export type Mending =
  | { readonly do: 'record'; readonly changes: readonly RecordChange[] }
  /** Make it again: the same id gives the same function. */
  | { readonly do: 'make'; readonly row: FunctionRecord; readonly binding: BindingRecord }
  /** `mark`: the function's own, where it is there: sizes may have changed since it was made. */
  | {
      readonly do: 'bind';
      readonly row: FunctionRecord;
      readonly binding: BindingRecord;
      readonly mark: OwnershipMark | null;
    }
  | { readonly do: 'limit'; readonly binding: BindingRecord }
  | { readonly do: 'plug'; readonly row: FunctionRecord }
  | { readonly do: 'define'; readonly machine: WantedMachine }
  | { readonly do: 'pass'; readonly id: FunctionId }
  | { readonly do: 'take'; readonly id: FunctionId }
  | { readonly do: 'remove-machine' }
  /** Take it from the host, from its port or volume, and from the card. */
  | { readonly do: 'remove-function'; readonly id: FunctionId; readonly kind: 'port' | 'volume'; readonly key: string }
  | { readonly do: 'unbind'; readonly port: PortId }
  | { readonly do: 'detach'; readonly id: FunctionId }
  | { readonly do: 'disconnect'; readonly volume: VolumeId }
  | { readonly do: 'delete-volume'; readonly volume: VolumeId }
  | { readonly do: 'release-function'; readonly id: FunctionId }
  | { readonly do: 'release-port'; readonly port: PortId };

/** The rows of one instance. */
export interface Rows {
  readonly instance: InstanceRecord;
  readonly functions: readonly FunctionRecord[];
  readonly bindings: readonly BindingRecord[];
}

/** Work for an instance that the store has and that no operation works on; on a VM node `power` is its machine's. */
export function driftOf(rows: Rows, seen: Observation, power: PowerState, isVm = false): readonly Mending[] {
  const work: Mending[] = [];
  const bindings = new Map(rows.bindings.map((each) => [each.functionId, each]));
  for (const row of rows.functions) {
    const binding = bindings.get(row.id);
    const actual = seen.functions.find((each) => each.id === row.id);
    if (!binding || row.phase === 'intended') continue;
    work.push(...driftOfFunction(row, binding, actual, seen));
  }
  if (isVm) work.push(...driftOfMachine(rows, seen));
  work.push(...strays(rows, seen));
  if (power !== 'unknown') {
    const state = stateObserved(power, rows.instance.state);
    if (state !== rows.instance.state) {
      work.push({ do: 'record', changes: [{ type: 'instance', id: rows.instance.id, patch: { state } }] });
    }
  }
  return work;
}

/** States in which an instance has its machine, running or not. */
const withMachine: ReadonlySet<InstanceState> = new Set(['active', 'stopped', 'paused', 'suspended', 'rescued']);

/** A machine is there, with exactly the functions of the instance that the host can see. One whose memory is saved is left as it is. */
function driftOfMachine({ instance, functions, bindings }: Rows, seen: Observation): readonly Mending[] {
  if (!withMachine.has(instance.state)) return [];
  const [machine] = seen.machines;
  const plugged = functions.filter((each) => each.phase === 'plugged');
  if (!machine) {
    const { id, name, flavor } = instance;
    const boot = bindings.find((each) => each.boot)?.functionId ?? null;
    return [{ do: 'define', machine: { instance: id, name, flavor, boot } }];
  }
  if (machine.state === 'suspended') return [];
  const has = new Set(machine.devices.map((each) => each.functionId));
  const wants = new Set(plugged.map((each) => each.id));
  return [
    ...[...has].filter((id) => !wants.has(id)).map((id) => ({ do: 'take', id }) as const),
    ...[...wants].filter((id) => !has.has(id)).map((id) => ({ do: 'pass', id }) as const),
  ];
}

/** Power of an instance by its machine: one that is paused or suspended says nothing, one that is gone is off. */
export function machinePower(seen: Observation): PowerState {
  const state = seen.machines[0]?.state ?? 'off';
  return state === 'running' ? 'on' : state === 'off' ? 'off' : 'unknown';
}

function driftOfFunction(
  row: FunctionRecord,
  binding: BindingRecord,
  actual: FunctionState | undefined,
  seen: Observation,
): readonly Mending[] {
  const work: Mending[] = [];
  if (!actual) work.push({ do: 'make', row, binding });
  const bound =
    binding.kind === 'port'
      ? seen.bindings.some((each) => each.portId === binding.key && each.functionId === row.id && each.healthy)
      : seen.attachments.some((each) => each.functionId === row.id);
  if (!bound && binding.phase === 'bound') work.push({ do: 'bind', row, binding, mark: actual?.mark ?? null });
  const port = seen.bindings.find((each) => binding.kind === 'port' && each.portId === binding.key);
  if (binding.phase === 'bound' && !sameQos(binding.qos, port?.qos ?? null)) work.push({ do: 'limit', binding });
  if (row.phase === 'plugged' && !actual?.plugged) work.push({ do: 'plug', row });
  if (actual && (actual.bdf !== row.bdf || actual.representor !== row.representor) && actual.bdf !== null) {
    const bdfState = row.bdf !== null && row.bdf !== actual.bdf ? 'changed' : actual.bdfState;
    const patch = { bdf: actual.bdf, bdfState, representor: actual.representor };
    work.push({ do: 'record', changes: [{ type: 'function-patch', id: row.id, patch }] });
  }
  return work;
}

function sameQos(a: QosSpec | null, b: QosSpec | null): boolean {
  return (
    a?.bitsPerSecond === b?.bitsPerSecond &&
    a?.packetsPerSecond === b?.packetsPerSecond &&
    a?.direction === b?.direction
  );
}

/** Things with the instance's mark that no row of it speaks of. */
function strays(rows: Rows | null, seen: Observation): readonly Mending[] {
  const functions = new Set((rows?.functions ?? []).map((each) => each.id));
  const keys = new Set((rows?.bindings ?? []).map((each) => each.key));
  const work: Mending[] = rows === null && seen.machines.length > 0 ? [{ do: 'remove-machine' }] : [];
  const gone = new Set<FunctionId>();
  // the boot disk goes first: without it what is left is known to be half taken
  const stray = seen.functions.filter((each) => !functions.has(each.id));
  const bootFirst = [...stray].sort((a, b) => Number(b.mark?.role === 'boot') - Number(a.mark?.role === 'boot'));
  const kept: FunctionState[] = [];
  for (const each of bootFirst) {
    if (!each.mark) continue;
    gone.add(each.id);
    kept.push(each);
    const kind = each.mark.role === 'nic' ? 'port' : 'volume';
    work.push({ do: 'remove-function', id: each.id, kind, key: each.mark.key });
  }
  for (const each of seen.bindings) {
    if (!keys.has(each.portId) && !(each.functionId && gone.has(each.functionId))) {
      work.push({ do: 'unbind', port: each.portId });
    }
  }
  for (const each of seen.attachments) {
    if (!functions.has(each.functionId) && !gone.has(each.functionId)) work.push({ do: 'detach', id: each.functionId });
  }
  for (const each of seen.exports) if (!keys.has(each.volumeId)) work.push({ do: 'disconnect', volume: each.volumeId });
  for (const each of seen.volumes) if (!keys.has(each.id)) work.push({ do: 'delete-volume', volume: each.id });
  for (const each of kept) work.push({ do: 'release-function', id: each.id });
  for (const each of seen.ports) if (!keys.has(each.portId)) work.push({ do: 'release-port', port: each.portId });
  return work;
}

/** Work for marks of an instance that is gone, or was never whole: everything goes. */
export function removalOf(seen: Observation): readonly Mending[] {
  return strays(null, seen);
}

/** Whether an instance that only its marks tell of is whole: its boot disk is plugged last of all, and unplugged first. */
export function isWhole(seen: Observation): boolean {
  return seen.functions.some((each) => each.mark?.role === 'boot' && each.plugged);
}

const stateOfMachine = { running: 'active', paused: 'paused', suspended: 'suspended', off: 'stopped' } as const;

/** Rows for an instance that only its marks tell of. What is not plugged is half attached or half taken, and left out. */
export function rowsFromMarks(seen: Observation, power: PowerState, generation: number): Rows | null {
  const boot = seen.functions.find((each) => each.mark?.role === 'boot')?.mark;
  if (!boot) return null;
  // a machine that was resized knows its sizes better than the marks
  const [machine] = seen.machines;
  const mark = machine ? { ...boot, name: machine.name, flavor: machine.flavor } : boot;
  const functions: FunctionRecord[] = [];
  const bindings: BindingRecord[] = [];
  for (const each of seen.functions) {
    if (!each.mark || !each.plugged) continue;
    const { role, key } = each.mark;
    const attachment = seen.attachments.find((other) => other.functionId === each.id);
    // a storage target that was restarted too has forgotten it; the volume service has not
    const exported = seen.exports.find((other) => other.volumeId === key);
    functions.push({
      id: each.id,
      instance: mark.instance,
      type: each.type,
      class: each.class,
      role,
      phase: 'plugged',
      mac: each.mac,
      bdf: each.bdf,
      bdfState: each.bdfState,
      representor: each.representor,
      vuid: each.vuid,
    });
    bindings.push({
      functionId: each.id,
      instance: mark.instance,
      kind: role === 'nic' ? 'port' : 'volume',
      key,
      phase: 'bound',
      madeForInstance: each.mark.deleteWithInstance ?? false,
      ips: each.mark.port?.ips ?? [],
      boot: role === 'boot',
      readOnly: attachment?.readOnly ?? exported?.readOnly ?? false,
      sizeBytes: attachment?.sizeBytes ?? null,
      bdev: attachment?.bdev ?? null,
      connectionSecret: null,
      qos: seen.bindings.find((other) => role === 'nic' && other.portId === key)?.qos ?? null,
    });
  }
  const rescued = bindings.some((each) => each.functionId === rescueFunctionId(mark.instance));
  const instance: InstanceRecord = {
    id: mark.instance,
    name: mark.name,
    state: rescued ? 'rescued' : machine ? stateOfMachine[machine.state] : power === 'on' ? 'active' : 'stopped',
    flavor: mark.flavor,
    claimed: true,
    todo: null,
    generation,
    metadata: {},
    sshKeys: [],
  };
  return { instance, functions, bindings };
}

/**
 * Rows for volumes of an instance that nothing else is left of. They may hold a tenant's data, so they are kept, with an
 * instance in `error` that owns them: destroying it deletes them.
 */
export function rowsFromVolumes(instance: InstanceId, seen: Observation, generation: number): Rows {
  const bindings = seen.volumes.map(
    (each): BindingRecord => ({
      functionId: diskFunctionId(instance, each.id),
      instance,
      kind: 'volume',
      key: each.id,
      phase: 'intended',
      madeForInstance: true,
      ips: [],
      boot: false,
      readOnly: false,
      sizeBytes: each.sizeBytes,
      bdev: null,
      connectionSecret: null,
      qos: null,
    }),
  );
  return {
    instance: {
      id: instance,
      name: instance,
      state: 'error',
      flavor: { name: 'unknown', vcpus: 1, memory_mib: 1 },
      claimed: false,
      todo: {
        code: 'bad_state',
        message: 'only volumes of this instance were found; destroying it deletes them',
        operation: null,
      },
      generation,
      metadata: {},
      sshKeys: [],
    },
    functions: [],
    bindings,
  };
}
