import type { FunctionClass } from '../../core/ports/snic-controller.ts';
import type { FunctionId, InstanceId, NodeId, PortId, VolumeId } from '../../core/units.ts';
import type { PlantedRow, WorldState } from './rows.ts';
import { exportKey } from './volumes.ts';

/** Something that another than the daemon made. */
export type ForeignThing =
  | { readonly kind: 'function'; readonly id: FunctionId; readonly class: FunctionClass; readonly plugged?: boolean }
  | { readonly kind: 'port'; readonly portId: PortId; readonly representor: string }
  | { readonly kind: 'attachment'; readonly functionId: FunctionId; readonly volumeId: VolumeId }
  | { readonly kind: 'volume'; readonly id: VolumeId; readonly sizeBytes: number; readonly bootable?: boolean }
  | { readonly kind: 'machine'; readonly instance: InstanceId }
  | { readonly kind: 'export'; readonly volumeId: VolumeId; readonly node: NodeId; readonly instance: InstanceId };

/** Puts a foreign thing into the world; the audit compares it from then on. */
export function plantForeign(state: WorldState, capacity: number, thing: ForeignThing): void {
  const planted = plant(state, capacity, thing);
  state[planted.table].set(planted.key, planted.row as never);
  state.planted.set(`${planted.table}/${planted.key}`, planted);
}

function plant(state: WorldState, capacity: number, thing: ForeignThing): PlantedRow {
  switch (thing.kind) {
    case 'function': {
      const taken = new Set(state.functions.rows().map((row) => row.slot));
      let slot = capacity - 1;
      while (taken.has(slot)) slot -= 1;
      const row = {
        id: thing.id,
        type: 'PF',
        class: thing.class,
        mac: null,
        features: [],
        slot,
        plugged: thing.plugged ?? false,
        bdf: null,
        bdfState: 'unknown',
        mark: null,
      };
      return { table: 'functions', key: thing.id, row };
    }
    case 'port': {
      const row = {
        portId: thing.portId,
        functionId: null,
        representor: thing.representor,
        mac: null,
        ofport: 60_000 + state.ports.size,
        qos: null,
        mark: null,
      };
      return { table: 'ports', key: thing.portId, row };
    }
    case 'attachment': {
      const { functionId, volumeId } = thing;
      const bdev = `foreign-${volumeId}`;
      const row = { functionId, volumeId, bdev, sizeBytes: 1, readOnly: false, mark: null, protocol: 'foreign' };
      return { table: 'attachments', key: functionId, row };
    }
    case 'volume': {
      const row = { id: thing.id, sizeBytes: thing.sizeBytes, bootable: thing.bootable ?? false, madeFor: null };
      return { table: 'volumes', key: thing.id, row };
    }
    case 'machine': {
      const row = {
        instance: thing.instance,
        node: null,
        name: 'foreign',
        flavor: { name: 'foreign', vcpus: 1, memory_mib: 128 },
        firmware: 'uefi',
        devices: [],
        state: 'off',
        bootedFrom: null,
        boots: 0,
        startedAtMs: null,
        adminPassword: null,
      };
      return { table: 'machines', key: thing.instance, row };
    }
    case 'export': {
      const { volumeId, node, instance } = thing;
      const row = { volumeId, node, instance, readOnly: false, password: 'foreign' };
      return { table: 'exports', key: exportKey(volumeId, instance), row };
    }
  }
}
