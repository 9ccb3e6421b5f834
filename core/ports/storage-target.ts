import type { FunctionId, JsonObject, VolumeId } from '../units.ts';
import type { OwnershipMark } from './ownership.ts';

/** How to reach a volume's data: the protocol and its own fields, as the volume service gave them. May hold secrets. */
export interface VolumeConnection {
  readonly protocol: string;
  readonly data: JsonObject;
}

/** Limits of a disk's I/O, reading and writing together; 0 is no limit, what is absent stays as it is. */
export interface StorageQos {
  readonly iosPerSecond?: number;
  readonly bytesPerSecond?: number;
}

/** A volume behind a storage function. The same function with another volume is `conflict`. */
export interface AttachSpec {
  readonly functionId: FunctionId;
  readonly volumeId: VolumeId;
  readonly connection: VolumeConnection;
  readonly readOnly: boolean;
  readonly mark: OwnershipMark;
  /** Whether several functions may write the volume: a cluster's disk. All of them must say so. Default no. */
  readonly shared?: boolean;
  /** In force from the first request on, and again after a restart of the target. Not part of what `conflict` compares: see `setQos`. */
  readonly qos?: StorageQos;
}

/** A volume that is served to a function. */
export interface StorageAttachment {
  readonly functionId: FunctionId;
  readonly volumeId: VolumeId;
  /** Name of the block device in the target. */
  readonly bdev: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
  /** null: not ours; never touched. */
  readonly mark: OwnershipMark | null;
}

/** Serves volumes to storage functions (SPDK). Every mutator is an ensure. */
export interface StorageTarget {
  /**
   * @throws `conflict` (function serves another volume, or volume has another writer), `unsupported` (protocol), `invalid` (connection),
   * `unavailable`, `timeout`, `hardware`.
   */
  attach(spec: AttachSpec, signal?: AbortSignal): Promise<StorageAttachment>;
  /** One that is not there is fine; one that is not ours is `denied`. @throws `busy` where the target sees that the host uses it. */
  detach(functionId: FunctionId, signal?: AbortSignal): Promise<void>;
  list(signal?: AbortSignal): Promise<readonly StorageAttachment[]>;
  /** Changes the limits of a disk, in use or not. @throws `not_found`, `invalid` (less than the target can keep), `unsupported`, `denied` (not ours). */
  setQos(functionId: FunctionId, qos: StorageQos, signal?: AbortSignal): Promise<void>;
  /**
   * The volume is larger by now: the host is shown its size, in use or not. Answers what is served then. @throws `not_found`, `denied`,
   * `bad_state` when the volume does not have that size.
   */
  resized(functionId: FunctionId, sizeBytes: number, signal?: AbortSignal): Promise<StorageAttachment>;
}
