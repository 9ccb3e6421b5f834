/** What plans are made from: composed by the use cases, journaled as the operation's input, read by the drivers. */

import type { QosSpec } from '../ports/network-binder.ts';
import type { FunctionRole } from '../ports/ownership.ts';
import type { FunctionType } from '../ports/snic-controller.ts';
import type { DriveLabel, Flavor, GuestRecord } from '../records.ts';
import type { FunctionId, InstanceId, Mac, PortId, VolumeId } from '../units.ts';

/** Who the devices are for; goes into their ownership marks. */
export interface InstanceInput {
  readonly instance: InstanceId;
  readonly name: string;
  readonly flavor: Flavor;
}

/** What an instance is told of itself; secrets by their ids. */
export interface TellInput {
  readonly name: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  /** Sealed JSON text of its user data. */
  readonly userData: string | null;
  /** Sealed JSON text of a `GuestPassword` (kit/guest-documents.ts). */
  readonly password: string | null;
  /** `mac` is null until the step that gets the port has answered. */
  readonly nics: readonly { readonly portId: PortId; readonly mac: Mac | null }[];
}

/** The drive that tells it. */
export interface DriveInput {
  readonly volumeId: VolumeId;
  readonly label: DriveLabel;
  readonly tell: TellInput;
}

/** A volume to show to the instance. */
export interface DiskInput {
  readonly volumeId: VolumeId;
  readonly functionId: FunctionId;
  readonly boot: boolean;
  readonly readOnly: boolean;
  readonly sizeBytes: number;
  /** Image that the volume is to be made from first; null: the volume exists. */
  readonly fromImage: string | null;
  /** Sealed connection that the request brought; null: the volume service is asked. */
  readonly connectionSecret: string | null;
  /** The volume is a drive that is made for the instance, and read-only. */
  readonly drive?: DriveInput;
}

/** A port to show to the instance. */
export interface NicInput {
  readonly portId: PortId;
  readonly functionId: FunctionId;
  /** Name of the subnet that a port is made on; null: the port exists. */
  readonly subnet: string | null;
  /** Asked for; null: the network service chooses. */
  readonly mac: Mac | null;
  readonly type: FunctionType;
}

/** Input of `build`; exactly one disk is the boot disk. */
export interface BuildInput extends InstanceInput {
  readonly disks: readonly DiskInput[];
  readonly nics: readonly NicInput[];
}

/** Input of `attach_volume`. */
export interface AttachVolumeInput extends InstanceInput {
  readonly disk: DiskInput;
}

/** Input of `attach_interface`. */
export interface AttachInterfaceInput extends InstanceInput {
  readonly nic: NicInput;
}

/** Input of `detach_volume` and `detach_interface`: `key` is the volume's or port's id. */
export interface DetachInput {
  readonly instance: InstanceId;
  readonly functionId: FunctionId;
  readonly key: string;
  readonly madeForInstance: boolean;
}

/** Input of `set_interface_qos`; the limits replace those that the port has. */
export interface QosInput {
  readonly instance: InstanceId;
  readonly functionId: FunctionId;
  readonly portId: PortId;
  readonly qos: QosSpec;
}

/** Input of `create_snapshot`. */
export interface SnapshotInput {
  readonly instance: InstanceId;
  readonly volumeId: VolumeId;
  readonly snapshotId: string;
  readonly name: string | null;
}

/** Input of `resize_volume`. */
export interface ResizeInput {
  readonly instance: InstanceId;
  readonly volumeId: VolumeId;
  readonly functionId: FunctionId;
  readonly sizeBytes: number;
  /** Whether the volume service is to grow it; otherwise it has that size already. */
  readonly grow: boolean;
}

/** A function that goes with its instance, whole or half made. */
export interface DoomedFunction {
  readonly functionId: FunctionId;
  readonly role: FunctionRole;
  readonly kind: 'port' | 'volume';
  readonly key: string;
  readonly madeForInstance: boolean;
}

/** How the data of a volume is made unreadable before the volume goes. `discard`: its blocks are given back. `zero`: written over, too. */
export type Wipe = 'none' | 'discard' | 'zero';

/** Input of `destroy`: everything of the instance that the store knows when the destroy starts. */
export interface DestroyInput {
  readonly instance: InstanceId;
  /** Whether the host is the instance's: only then may its power be touched. One that failed to build gave it back. */
  readonly ownsHost: boolean;
  readonly functions: readonly DoomedFunction[];
  /** For local volumes that were made for the instance. Absent: as the volume service is configured. */
  readonly wipe?: Wipe;
}

/** Input of `start`, `stop` and `reboot`. */
export interface PowerInput {
  readonly instance: InstanceId;
  /** How a stop or reboot goes off. */
  readonly type: 'soft' | 'hard';
  /** Time that the host has to go off by itself. */
  readonly softTimeoutMs: number;
  /** The function to start from; null where none is known. */
  readonly boot: FunctionId | null;
}

/** What of an instance's record changes when a plan is past its turning point, and what is then to be erased. */
export interface RenewInput {
  readonly guest: GuestRecord;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sshKeys: readonly string[];
  /** Ids of secrets that nothing refers to any more. */
  readonly erase: readonly string[];
}

/** What the instance is told from now on, and what it was told before. */
export interface TellChange {
  readonly renew: RenewInput;
  /** As it was: for the way back, where nothing is erased. */
  readonly before: RenewInput;
  /** null: it has no drive. */
  readonly drive: DriveInput | null;
  readonly driveBefore: DriveInput | null;
}

/** Input of `rebuild`. */
export interface RebuildInput extends InstanceInput, TellChange {
  /** The new boot disk; null: the one that is there stays, since its content is another's. */
  readonly root: DiskInput | null;
  /** The boot disk that goes, with its volume where that was made for the instance; null: there is none, or it stays. */
  readonly old: DoomedFunction | null;
  /** The disk of a rescue that goes. */
  readonly rescue: DoomedFunction | null;
  /** The function to start from. */
  readonly boot: FunctionId;
  /** Time for a host that runs to go off by itself; 0: it does not run. */
  readonly softTimeoutMs: number;
}

/** Input of `rescue`. */
export interface RescueInput extends InstanceInput, TellChange {
  /** The disk of the rescue image. */
  readonly disk: DiskInput;
  /** The instance's own boot disk; null: it has none. */
  readonly boot: FunctionId | null;
  readonly softTimeoutMs: number;
}

/** Input of `unrescue`. */
export interface UnrescueInput extends TellChange {
  readonly instance: InstanceId;
  readonly rescue: DoomedFunction | null;
  readonly boot: FunctionId;
  readonly softTimeoutMs: number;
}

/** Input of `reset_admin_password`. */
export interface PasswordInput extends TellChange {
  readonly instance: InstanceId;
}
