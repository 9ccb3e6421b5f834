import type { FunctionId, JsonObject, VolumeId } from '../units.ts';
import type { OwnershipMark } from './ownership.ts';

/** How to reach a volume's data: the protocol and its own fields, as the volume service gave them. May hold secrets. */
export interface VolumeConnection {
  readonly protocol: string;
  readonly data: JsonObject;
}

/** A volume behind a storage function. The same function with another volume is `conflict`. */
export interface AttachSpec {
  readonly functionId: FunctionId;
  readonly volumeId: VolumeId;
  readonly connection: VolumeConnection;
  readonly readOnly: boolean;
  readonly mark: OwnershipMark;
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
  /** @throws `conflict` (function serves another volume, or volume has another writer), `unavailable`, `timeout`, `hardware`. */
  attach(spec: AttachSpec, signal?: AbortSignal): Promise<StorageAttachment>;
  /** One that is not there is fine; one that is not ours is `denied`. */
  detach(functionId: FunctionId, signal?: AbortSignal): Promise<void>;
  list(signal?: AbortSignal): Promise<readonly StorageAttachment[]>;
}
