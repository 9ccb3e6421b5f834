import type { Wipe } from '../operation/inputs.ts';
import type { DriveLabel } from '../records.ts';
import type { InstanceId, NodeId, VolumeId } from '../units.ts';
import type { VolumeConnection } from './storage-target.ts';

/** An image that a volume can be made from. */
export interface Image {
  readonly id: string;
  readonly name: string;
  /** Bytes that a volume must have at least. */
  readonly minSizeBytes: number;
}

/** A volume of the volume service. */
export interface Volume {
  readonly id: VolumeId;
  readonly sizeBytes: number;
  readonly bootable: boolean;
  /** The instance it was made for; null for one that somebody else made. */
  readonly madeFor: { readonly node: NodeId; readonly instance: InstanceId } | null;
}

/** A volume exported to a node. */
export interface VolumeExport {
  readonly volumeId: VolumeId;
  readonly node: NodeId;
  readonly instance: InstanceId;
  readonly readOnly: boolean;
}

/** The content of a volume at one moment. */
export interface VolumeSnapshot {
  readonly id: string;
  readonly volumeId: VolumeId;
  readonly sizeBytes: number;
}

/** A small volume with files on it, for an instance to read. */
export interface DriveSpec {
  readonly id: VolumeId;
  readonly label: DriveLabel;
  /** Path -> text. May hold secrets. */
  readonly files: Readonly<Record<string, string>>;
  readonly node: NodeId;
  readonly instance: InstanceId;
}

/** Volumes and images: what Cinder and Glance do, or the embedded service. Every mutator is an ensure. */
export interface VolumeService {
  /** By name or id. @throws `not_found`, `unavailable`. */
  getImage(nameOrId: string, signal?: AbortSignal): Promise<Image>;
  /** @throws `not_found`, `unavailable`. */
  getVolume(id: VolumeId, signal?: AbortSignal): Promise<Volume>;
  /** Makes a volume from an image, for an instance. @throws `not_found` (image), `exhausted`, `conflict`. */
  ensureVolumeFromImage(
    spec: {
      readonly id: VolumeId;
      readonly image: string;
      readonly sizeBytes: number;
      readonly node: NodeId;
      readonly instance: InstanceId;
    },
    signal?: AbortSignal,
  ): Promise<Volume>;
  /**
   * Makes a drive (iso9660), or gives one that is there other files, in use or not: its size stays. Its data is always written over when it is deleted.
   * @throws `invalid` when the files do not fit, `conflict` (another's), `exhausted`, `unavailable`.
   */
  ensureDrive(spec: DriveSpec, signal?: AbortSignal): Promise<Volume>;
  /**
   * Deletes a volume that was made for an instance, its data made unreadable first as `wipe` says (default: as configured). One that is not there is fine.
   * @throws `busy` while exported; `denied` for others'; `unsupported` (no such wipe here).
   */
  deleteVolume(id: VolumeId, signal?: AbortSignal, wipe?: Wipe): Promise<void>;
  /** Exports it to a node and says how to reach it. @throws `not_found`, `conflict` (another writer has it). */
  connect(spec: VolumeExport, signal?: AbortSignal): Promise<VolumeConnection>;
  /** Ends the export. One that is not there is fine. */
  disconnect(id: VolumeId, instance: InstanceId, signal?: AbortSignal): Promise<void>;
  /** Volumes that were made for instances of the node. */
  listMadeFor(node: NodeId, signal?: AbortSignal): Promise<readonly Volume[]>;
  /** Exports to the node. */
  listExports(node: NodeId, signal?: AbortSignal): Promise<readonly VolumeExport[]>;
  /**
   * Takes a snapshot, as after a loss of power where the volume is in use. The same id again is the same snapshot: what it holds is from the first time.
   * @throws `not_found`, `conflict` (the id is another volume's), `unsupported` (not of a volume in use), `exhausted`.
   */
  ensureSnapshot(
    spec: { readonly id: string; readonly volumeId: VolumeId },
    signal?: AbortSignal,
  ): Promise<VolumeSnapshot>;
  /** One that is not there is fine. @throws `busy` while volumes lie on it. */
  deleteSnapshot(id: string, signal?: AbortSignal): Promise<void>;
  /** Snapshots of a volume, by id. */
  listSnapshots(volumeId: VolumeId, signal?: AbortSignal): Promise<readonly VolumeSnapshot[]>;
  /** Makes a volume with a snapshot's content, for an instance. @throws `not_found` (snapshot), `exhausted`, `conflict`. */
  ensureVolumeFromSnapshot(
    spec: {
      readonly id: VolumeId;
      readonly snapshot: string;
      readonly sizeBytes: number;
      readonly node: NodeId;
      readonly instance: InstanceId;
    },
    signal?: AbortSignal,
  ): Promise<Volume>;
  /**
   * Grows a volume, in use or not; the same size again is fine. Whoever serves it must be told: `StorageTarget.resized`.
   * @throws `not_found`, `invalid` (smaller), `exhausted`, `unsupported`.
   */
  resizeVolume(id: VolumeId, sizeBytes: number, signal?: AbortSignal): Promise<Volume>;
}
