/**
 * Ids that follow from what they are for, so that a step done twice finds its own work (RFC 9562 5.8, uuid version 8
 * by SHA-256).
 */
import { createHash } from 'node:crypto';
import type { FunctionId, InstanceId, NodeId, PortId, VolumeId } from './units.ts';

function derive(...parts: readonly string[]): string {
  const hash = createHash('sha256').update(parts.join('\u0000')).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = hash.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

/** The instance of a build that names none but has a request id: a repeat of the request finds it. */
export function requestedInstanceId(node: NodeId, request: string): InstanceId {
  return derive('instance', node, request) as InstanceId;
}

/** The function that shows a port to the instance. */
export function nicFunctionId(instance: InstanceId, port: PortId): FunctionId {
  return `nic-${derive('nic', instance, port)}` as FunctionId;
}

/** The function that shows a volume to the instance. */
export function diskFunctionId(instance: InstanceId, volume: VolumeId): FunctionId {
  return `disk-${derive('disk', instance, volume)}` as FunctionId;
}

/** The boot volume made from an image for an instance that brought none. */
export function rootVolumeId(instance: InstanceId): VolumeId {
  return derive('root', instance) as VolumeId;
}

/** The boot volume that a rebuild makes; `request` tells it from the one before. */
export function rebuiltVolumeId(instance: InstanceId, request: string): VolumeId {
  return derive('rebuilt', instance, request) as VolumeId;
}

/** The boot volume that is made for an instance while it is rescued. */
export function rescueVolumeId(instance: InstanceId): VolumeId {
  return derive('rescue', instance) as VolumeId;
}

/** The function of the disk that a rescued instance starts from, whatever volume that is. */
export function rescueFunctionId(instance: InstanceId): FunctionId {
  return diskFunctionId(instance, rescueVolumeId(instance));
}

/** The drive that tells an instance of itself. */
export function driveVolumeId(instance: InstanceId): VolumeId {
  return derive('drive', instance) as VolumeId;
}

/** The port made for the n-th entry of a request: of a build (`request` is `build`) or of a later attach (its operation's id). */
export function requestedPortId(instance: InstanceId, request: string, index: number): PortId {
  return derive('port', instance, request, String(index)) as PortId;
}

/** The snapshot of a volume that a request asked for; a repeat of the request finds it. */
export function requestedSnapshotId(instance: InstanceId, volume: VolumeId, request: string): string {
  return derive('snapshot', instance, volume, request);
}
