/** Reads the journaled inputs of plans (`core/operation/inputs.ts`). All throw DpuError `internal`, naming the field. */

import { DpuError } from '../../core/errors.ts';
import type {
  AttachInterfaceInput,
  AttachVolumeInput,
  BuildInput,
  DestroyInput,
  DetachInput,
  DiskInput,
  DoomedFunction,
  DriveInput,
  InstanceInput,
  NicInput,
  PowerInput,
  QosInput,
  ResizeInput,
  SnapshotInput,
} from '../../core/operation/inputs.ts';
import {
  asId,
  type FunctionId,
  type InstanceId,
  type JsonObject,
  type Mac,
  type PortId,
  type VolumeId,
} from '../../core/units.ts';
import { type Fields, fieldsOf } from './json-fields.ts';

/** Input of `build`: exactly one boot disk, no volume and no port twice. */
export function readBuildInput(input: JsonObject): BuildInput {
  const fields = fieldsOf(input, 'input');
  const disks = fields.list('disks').map(readDisk);
  const nics = fields.list('nics').map(readNic);
  if (disks.filter((disk) => disk.boot).length !== 1) {
    throw new DpuError('internal', 'a build needs exactly one boot disk', { field: 'input.disks' });
  }
  return { ...readInstance(fields), disks, nics };
}

/** Input of `attach_volume`. */
export function readAttachVolumeInput(input: JsonObject): AttachVolumeInput {
  const fields = fieldsOf(input, 'input');
  return { ...readInstance(fields), disk: readDisk(fields.object('disk')) };
}

/** Input of `attach_interface`. */
export function readAttachInterfaceInput(input: JsonObject): AttachInterfaceInput {
  const fields = fieldsOf(input, 'input');
  return { ...readInstance(fields), nic: readNic(fields.object('nic')) };
}

/** Input of `detach_volume` and `detach_interface`. */
export function readDetachInput(input: JsonObject): DetachInput {
  const fields = fieldsOf(input, 'input');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    functionId: asId<FunctionId>(fields.text('functionId')),
    key: fields.text('key'),
    madeForInstance: fields.flag('madeForInstance'),
  };
}

/** Input of `set_interface_qos`. */
export function readQosInput(input: JsonObject): QosInput {
  const fields = fieldsOf(input, 'input');
  const qos = fields.object('qos');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    functionId: asId<FunctionId>(fields.text('functionId')),
    portId: asId<PortId>(fields.text('portId')),
    qos: {
      bitsPerSecond: qos.count('bitsPerSecond'),
      packetsPerSecond: qos.count('packetsPerSecond'),
      direction: qos.oneOf('direction', ['egress', 'ingress', 'both']),
    },
  };
}

/** Input of `create_snapshot`. */
export function readSnapshotInput(input: JsonObject): SnapshotInput {
  const fields = fieldsOf(input, 'input');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    volumeId: asId<VolumeId>(fields.text('volumeId')),
    snapshotId: fields.text('snapshotId'),
    name: fields.textOrNull('name'),
  };
}

/** Input of `resize_volume`. */
export function readResizeInput(input: JsonObject): ResizeInput {
  const fields = fieldsOf(input, 'input');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    volumeId: asId<VolumeId>(fields.text('volumeId')),
    functionId: asId<FunctionId>(fields.text('functionId')),
    sizeBytes: fields.count('sizeBytes'),
    grow: fields.flag('grow'),
  };
}

/** Input of `destroy`. */
export function readDestroyInput(input: JsonObject): DestroyInput {
  const fields = fieldsOf(input, 'input');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    ownsHost: fields.flag('ownsHost'),
    functions: fields.list('functions').map(readDoomed),
    ...(input.wipe === undefined ? {} : { wipe: fields.oneOf('wipe', ['none', 'discard', 'zero']) }),
  };
}

/** Input of `start`, `stop` and `reboot`. */
export function readPowerInput(input: JsonObject): PowerInput {
  const fields = fieldsOf(input, 'input');
  const boot = fields.textOrNull('boot');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    type: fields.oneOf('type', ['soft', 'hard']),
    softTimeoutMs: fields.count('softTimeoutMs'),
    boot: boot === null ? null : asId<FunctionId>(boot),
  };
}

/** Whom a plan is for. */
export function readInstance(fields: Fields): InstanceInput {
  const flavor = fields.object('flavor');
  return {
    instance: asId<InstanceId>(fields.text('instance')),
    name: fields.text('name'),
    flavor: { name: flavor.text('name'), vcpus: flavor.count('vcpus'), memory_mib: flavor.count('memory_mib') },
  };
}

/** A volume of an input. */
export function readDisk(fields: Fields): DiskInput {
  const drive = fields.objectOrNull('drive');
  return {
    ...(drive ? { drive: readDrive(drive) } : {}),
    volumeId: asId<VolumeId>(fields.text('volumeId')),
    functionId: asId<FunctionId>(fields.text('functionId')),
    boot: fields.flag('boot'),
    readOnly: fields.flag('readOnly'),
    sizeBytes: fields.count('sizeBytes'),
    fromImage: fields.textOrNull('fromImage'),
    connectionSecret: fields.textOrNull('connectionSecret'),
  };
}

/** A NIC. */
export function readNic(fields: Fields): NicInput {
  const mac = fields.textOrNull('mac');
  return {
    portId: asId<PortId>(fields.text('portId')),
    functionId: asId<FunctionId>(fields.text('functionId')),
    subnet: fields.textOrNull('subnet'),
    mac: mac === null ? null : (mac as Mac),
    type: fields.oneOf('type', ['PF', 'VF']),
  };
}

/** A drive of an input. */
export function readDrive(fields: Fields): DriveInput {
  const tell = fields.object('tell');
  return {
    volumeId: asId<VolumeId>(fields.text('volumeId')),
    label: fields.oneOf('label', ['config-2', 'cidata']),
    tell: {
      name: tell.text('name'),
      metadata: tell.textMap('metadata'),
      sshKeys: tell.texts('sshKeys'),
      userData: tell.textOrNull('userData'),
      password: tell.textOrNull('password'),
      nics: tell.list('nics').map((nic) => ({
        portId: asId<PortId>(nic.text('portId')),
        mac: nic.textOrNull('mac') as Mac | null,
      })),
    },
  };
}

/** What goes. */
export function readDoomed(fields: Fields): DoomedFunction {
  return {
    functionId: asId<FunctionId>(fields.text('functionId')),
    role: fields.oneOf('role', ['nic', 'disk', 'boot']),
    kind: fields.oneOf('kind', ['port', 'volume']),
    key: fields.text('key'),
    madeForInstance: fields.flag('madeForInstance'),
  };
}
