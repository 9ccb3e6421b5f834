/** What plans are made from: composed by the use cases, journaled as the operation's input, read by the drivers. */

import type { QosSpec } from '../ports/network-binder.ts';
import type { FunctionRole } from '../ports/ownership.ts';
import type { FunctionType } from '../ports/snic-controller.ts';
import type { Flavor } from '../records.ts';
import type { FunctionId, InstanceId, Mac, PortId, VolumeId } from '../units.ts';

/** Who the devices are for; goes into their ownership marks. */
export interface InstanceInput {
  readonly instance: InstanceId;
  readonly name: string;
  readonly flavor: Flavor;
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

/** Input of `destroy`: everything of the instance that the store knows when the destroy starts. */
export interface DestroyInput {
  readonly instance: InstanceId;
  /** Whether the host is the instance's: only then may its power be touched. One that failed to build gave it back. */
  readonly ownsHost: boolean;
  readonly functions: readonly DoomedFunction[];
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
