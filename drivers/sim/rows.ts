/** What the simulated hardware remembers. Every row is plain JSON and is replaced as a whole. */

import type { Domain, GuestUserPassword } from '../../core/ports/host-agent.ts';
import type { QosSpec } from '../../core/ports/network-binder.ts';
import type { OwnershipMark } from '../../core/ports/ownership.ts';
import type { BootTarget } from '../../core/ports/power-controller.ts';
import type { BdfState, FunctionClass, FunctionType } from '../../core/ports/snic-controller.ts';
import type { StorageQos } from '../../core/ports/storage-target.ts';
import type { Volume, VolumeExport, VolumeSnapshot } from '../../core/ports/volume-service.ts';
import type { FunctionId, Mac, PortId, VolumeId } from '../../core/units.ts';
import type { BiosRow } from './bios.ts';
import { openTable, type Table } from './table.ts';
import type { WorldStore } from './world-store.ts';

/** A function of the card. */
export interface FunctionRow {
  readonly id: FunctionId;
  readonly type: FunctionType;
  readonly class: FunctionClass;
  readonly mac: Mac | null;
  readonly features: readonly string[];
  readonly slot: number;
  readonly plugged: boolean;
  readonly bdf: string | null;
  readonly bdfState: BdfState;
  readonly mark: OwnershipMark | null;
}

/** The last function that had a slot: it gets the same again. */
export interface SlotRow {
  readonly slot: number;
  readonly id: FunctionId;
}

/** A port of br-int. */
export interface PortRow {
  readonly portId: PortId;
  readonly functionId: FunctionId | null;
  readonly representor: string;
  readonly mac: Mac | null;
  readonly ofport: number;
  readonly qos: QosSpec | null;
  readonly mark: OwnershipMark | null;
}

/** A volume behind a function. */
export interface AttachmentRow {
  readonly functionId: FunctionId;
  readonly volumeId: VolumeId;
  readonly bdev: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  readonly mark: OwnershipMark | null;
  /** How its data is reached. */
  readonly protocol: string;
  /** Whether other writers of the volume are welcome. */
  readonly shared?: boolean;
  readonly qos?: StorageQos;
}

/** An export with the password of its connection. */
export interface ExportRow extends VolumeExport {
  readonly password: string;
}

/** The host. */
export interface HostRow {
  readonly power: 'on' | 'off';
  /** Asked to shut down; it is still on. */
  readonly shuttingDown: boolean;
  readonly nextBoot: BootTarget | null;
  /** Disk that it booted from; null while off, and when it found none. */
  readonly bootedFrom: FunctionId | null;
  /** How often it was powered on. */
  readonly boots: number;
}

/** A machine on the host. */
export interface MachineRow extends Domain {
  /** Disk that it booted from; null while off, and when it found none. */
  readonly bootedFrom: FunctionId | null;
  /** How often it was started. */
  readonly boots: number;
  /** Wall time; null while off. */
  readonly startedAtMs: number | null;
  /** The last one that was set. */
  readonly adminPassword: GuestUserPassword | null;
}

/** What a peer forgot when it was restarted: making exactly this again is allowed while the host runs. */
export type LostRow =
  | { readonly kind: 'port'; readonly row: PortRow }
  | { readonly kind: 'attachment'; readonly row: AttachmentRow };

/** A rule that was broken. */
export interface Violation {
  /** Stable name of the rule: `unbound-while-host-on`. */
  readonly rule: string;
  /** Id of the thing. */
  readonly subject: string;
  readonly detail: string;
}

/** A thing that another made; it must stay as it was planted. */
export interface PlantedRow {
  readonly table: 'functions' | 'ports' | 'attachments' | 'volumes' | 'exports' | 'machines';
  readonly key: string;
  readonly row: object;
}

/** All tables of the world. */
export interface WorldState {
  readonly functions: Table<FunctionRow>;
  readonly slots: Table<SlotRow>;
  readonly ports: Table<PortRow>;
  readonly attachments: Table<AttachmentRow>;
  readonly volumes: Table<Volume>;
  readonly snapshots: Table<VolumeSnapshot>;
  readonly exports: Table<ExportRow>;
  readonly host: Table<HostRow>;
  readonly machines: Table<MachineRow>;
  readonly bios: Table<BiosRow>;
  readonly lost: Table<LostRow>;
  readonly planted: Table<PlantedRow>;
  readonly violations: Table<Violation>;
}

/** Opens the tables with what the store has. */
export function openState(store: WorldStore): WorldState {
  const entries = store.load();
  return {
    functions: openTable(store, 'function', entries),
    slots: openTable(store, 'slot', entries),
    ports: openTable(store, 'port', entries),
    attachments: openTable(store, 'attachment', entries),
    volumes: openTable(store, 'volume', entries),
    snapshots: openTable(store, 'snapshot', entries),
    exports: openTable(store, 'export', entries),
    host: openTable(store, 'host', entries),
    machines: openTable(store, 'machine', entries),
    bios: openTable(store, 'bios', entries),
    lost: openTable(store, 'lost', entries),
    planted: openTable(store, 'planted', entries),
    violations: openTable(store, 'violation', entries),
  };
}
