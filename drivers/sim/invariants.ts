import { isDeepStrictEqual } from 'node:util';
import type { InstanceId } from '../../core/units.ts';
import { functionOfRepresentor } from './card.ts';
import { isOn } from './machines.ts';
import type { FunctionRow, Violation, WorldState } from './rows.ts';
import { exportKey, simProtocol } from './volumes.ts';

/** What an audit needs of a world. */
interface Audited {
  readonly state: WorldState;
  readonly violations: readonly Violation[];
}

/**
 * Rules that hold at every moment, whatever the daemon does and wherever it was killed: recorded violations, and what
 * can be said of the world as it stands. Empty: all hold.
 */
export function checkWorld(world: Audited): readonly Violation[] {
  const { state } = world;
  return [
    ...world.violations,
    ...portRules(state),
    ...attachmentRules(state),
    ...exportRules(state),
    ...doubleFunctions(state),
    ...machineRules(state),
    ...foreignRules(state),
  ];
}

/** Things with a mark of ours whose instance is not among those the daemon knows: what was leaked. */
export function checkOwners(world: Audited, instances: ReadonlySet<InstanceId>): readonly Violation[] {
  return ownedThings(world.state)
    .filter((thing) => !instances.has(thing.instance))
    .map(({ kind, id, instance }) => ({ rule: `${kind}-without-owner`, subject: id, detail: `instance ${instance}` }));
}

/** A thing that carries a mark of ours. */
export interface OwnedThing {
  readonly kind: 'function' | 'port' | 'attachment' | 'volume' | 'export' | 'machine';
  readonly id: string;
  readonly instance: InstanceId;
}

/** Every thing in the world that is an instance's. Volumes that others made and only lent are not among them. */
export function ownedThings(state: WorldState): readonly OwnedThing[] {
  const things: OwnedThing[] = [];
  for (const { id, mark } of state.functions.rows()) {
    if (mark) things.push({ kind: 'function', id, instance: mark.instance });
  }
  for (const { portId, mark } of state.ports.rows()) {
    if (mark) things.push({ kind: 'port', id: portId, instance: mark.instance });
  }
  for (const { functionId, mark } of state.attachments.rows()) {
    if (mark) things.push({ kind: 'attachment', id: functionId, instance: mark.instance });
  }
  for (const { id, madeFor } of state.volumes.rows()) {
    if (madeFor) things.push({ kind: 'volume', id, instance: madeFor.instance });
  }
  for (const { volumeId, instance } of state.exports.rows()) {
    const id = exportKey(volumeId, instance);
    if (!state.planted.has(`exports/${id}`)) things.push({ kind: 'export', id, instance });
  }
  for (const { instance, node } of state.machines.rows()) {
    if (node !== null) things.push({ kind: 'machine', id: instance, instance });
  }
  return things;
}

/** The foreign things as text, to compare before and after. */
export function foreignFingerprint(state: WorldState): string {
  return JSON.stringify({
    functions: state.functions
      .rows()
      .filter((row) => row.mark === null)
      .map(withoutAddress),
    ports: state.ports.rows().filter((row) => row.mark === null),
    attachments: state.attachments.rows().filter((row) => row.mark === null),
    volumes: state.volumes.rows().filter((row) => row.madeFor === null),
  });
}

function portRules(state: WorldState): readonly Violation[] {
  const ports = state.ports.rows().filter((row) => row.mark !== null);
  return [
    ...ports.flatMap((row): Violation[] => {
      const owner = row.functionId === null ? undefined : state.functions.get(row.functionId);
      if (owner === undefined) {
        return [{ rule: 'port-without-function', subject: row.portId, detail: `function ${row.functionId} is gone` }];
      }
      if (functionOfRepresentor(state, row.representor)?.id !== owner.id) {
        return [{ rule: 'port-of-another-function', subject: row.portId, detail: `${row.representor} is not its own` }];
      }
      if (owner.mark?.instance === row.mark?.instance) return [];
      return [{ rule: 'port-of-two-instances', subject: row.portId, detail: `function ${owner.id} is another's` }];
    }),
    ...twice(ports, (row) => row.functionId).map((id) => violation('function-in-two-ports', id)),
    ...twice(state.ports.rows(), (row) => row.representor).map((id) => violation('representor-in-two-ports', id)),
  ];
}

function attachmentRules(state: WorldState): readonly Violation[] {
  const rows = state.attachments.rows();
  return [
    ...rows.flatMap((row): Violation[] => {
      if (row.mark === null) return [];
      const owner = state.functions.get(row.functionId);
      const { instance } = row.mark;
      if (owner === undefined) return [violation('attachment-without-function', row.functionId)];
      if (owner.mark?.instance !== instance) return [violation('attachment-of-two-instances', row.functionId)];
      if (row.protocol === simProtocol && !state.exports.has(exportKey(row.volumeId, instance))) {
        return [violation('attachment-without-export', row.functionId)];
      }
      return [];
    }),
    ...twice(rows, (row) => row.bdev).map((id) => violation('bdev-twice', id)),
    ...twice(
      rows.filter((row) => !row.readOnly),
      (row) => row.volumeId,
    ).map((id) => violation('volume-with-two-writers', id)),
  ];
}

/** A machine that is on has each function alone, and only functions of its own instance that the host can see. */
function machineRules(state: WorldState): readonly Violation[] {
  const on = state.machines.rows().filter((row) => row.node !== null && isOn(row));
  const passed = on.flatMap((row) => row.devices.map((device) => ({ row, device })));
  return [
    ...passed.flatMap(({ row, device }): Violation[] => {
      const owner = state.functions.get(device.functionId);
      if (!owner?.plugged) return [violation('machine-without-its-function', device.functionId)];
      return owner.mark?.instance === row.instance
        ? []
        : [violation('function-of-anothers-machine', device.functionId)];
    }),
    ...twice(passed, ({ device }) => device.functionId).map((id) => violation('function-in-two-machines', id)),
  ];
}

function exportRules(state: WorldState): readonly Violation[] {
  const rows = state.exports.rows();
  return [
    ...rows
      .filter((row) => !state.volumes.has(row.volumeId))
      .map((row) => violation('export-without-volume', exportKey(row.volumeId, row.instance))),
    ...twice(
      rows.filter((row) => !row.readOnly),
      (row) => row.volumeId,
    ).map((id) => violation('volume-exported-to-two-writers', id)),
  ];
}

function doubleFunctions(state: WorldState): readonly Violation[] {
  const ours = state.functions.rows().filter((row) => row.mark !== null);
  const purpose = ({ mark, class: kind }: FunctionRow): string | null =>
    mark && JSON.stringify([mark.instance, kind === 'virtio-net' ? 'nic' : 'disk', mark.key]);
  return [
    ...twice(ours, purpose).map((id) => violation('two-functions-for-one-purpose', id)),
    ...twice(state.functions.rows(), (row) => String(row.slot)).map((id) => violation('slot-twice', id)),
  ];
}

function foreignRules(state: WorldState): readonly Violation[] {
  return state.planted.rows().flatMap((planted): Violation[] => {
    const row = state[planted.table].get(planted.key);
    const changed = row === undefined || !isDeepStrictEqual(withoutAddress(row), withoutAddress(planted.row));
    return changed ? [violation('foreign-changed', `${planted.table}/${planted.key}`)] : [];
  });
}

function violation(rule: string, subject: string): Violation {
  return { rule, subject, detail: '' };
}

/** The host gives addresses to foreign functions too; that is no touch of ours. */
function withoutAddress(row: object): object {
  return { ...row, bdf: null, bdfState: null };
}

/** Keys that more than one row has. */
function twice<Row>(rows: readonly Row[], keyOf: (row: Row) => string | null): readonly string[] {
  const seen = new Set<string>();
  const double = new Set<string>();
  for (const row of rows) {
    const key = keyOf(row);
    if (key === null) continue;
    if (seen.has(key)) double.add(key);
    seen.add(key);
  }
  return [...double];
}
