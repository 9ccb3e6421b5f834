import type { Json, JsonObject } from '../../../core/units.ts';
import type { Attachment, CinderSnapshot, CinderVolume, ConnectionInfo, Connector } from './cinder.ts';
import {
  defined,
  flagOf,
  numberOf,
  objectIn,
  optionalObject,
  optionalObjects,
  optionalText,
  textMap,
  textOf,
} from './fields.ts';

/** A connector as Cinder takes it. */
export function writeConnector(connector: Connector): JsonObject {
  const { host, ip, initiator, nqn, multipath, platform, osType, mountpoint } = connector;
  return defined({ host, ip, initiator, nqn, multipath, platform, os_type: osType, mountpoint });
}

/** A volume as Cinder writes it. @throws `unavailable`. */
export function readVolume(data: JsonObject): CinderVolume {
  const shared = data.shared_targets;
  return {
    id: textOf(data, 'id'),
    name: optionalText(data, 'name') ?? '',
    status: textOf(data, 'status'),
    sizeGib: numberOf(data, 'size'),
    bootable: flagOf(data, 'bootable'),
    multiattach: flagOf(data, 'multiattach'),
    encrypted: flagOf(data, 'encrypted'),
    volumeType: optionalText(data, 'volume_type'),
    availabilityZone: optionalText(data, 'availability_zone'),
    projectId: optionalText(data, 'os-vol-tenant-attr:tenant_id'),
    snapshotId: optionalText(data, 'snapshot_id'),
    attachments: optionalObjects(data, 'attachments').map((each) => ({
      attachmentId: textOf(each, 'attachment_id'),
      serverId: optionalText(each, 'server_id') ?? '',
      device: optionalText(each, 'device'),
      hostName: optionalText(each, 'host_name'),
    })),
    metadata: textMap(data, 'metadata'),
    imageMetadata: textMap(data, 'volume_image_metadata'),
    sharedTargets: typeof shared === 'boolean' ? shared : null,
    serviceUuid: optionalText(data, 'service_uuid'),
  };
}

/** A snapshot as Cinder writes it. @throws `unavailable`. */
export function readSnapshot(data: JsonObject): CinderSnapshot {
  return {
    id: textOf(data, 'id'),
    volumeId: textOf(data, 'volume_id'),
    name: optionalText(data, 'name') ?? '',
    status: textOf(data, 'status'),
    sizeGib: numberOf(data, 'size'),
    metadata: textMap(data, 'metadata'),
  };
}

/** `{attachment}` as Cinder writes it. @throws `unavailable`. */
export function readAttachment(json: Json): Attachment {
  const data = objectIn(json, 'attachment');
  return {
    id: textOf(data, 'id'),
    volumeId: textOf(data, 'volume_id'),
    instance: optionalText(data, 'instance'),
    status: textOf(data, 'status'),
    attachMode: optionalText(data, 'attach_mode'),
    connectionInfo: readConnection(data),
  };
}

/** Cinder's flat connection_info with its `data` apart again, and the attachment's own fields beside it (nova's `_translate_attachment_ref`). */
function readConnection(attachment: JsonObject): ConnectionInfo | null {
  const { connection_info: _, id, attach_mode, ...beside } = attachment;
  const { attachment_id, driver_volume_type: type, ...data } = optionalObject(attachment, 'connection_info');
  const serial = textOf(attachment, 'volume_id');
  return typeof type === 'string' ? { ...beside, driver_volume_type: type, data, serial } : null;
}
