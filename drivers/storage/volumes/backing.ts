import type { Wipe } from '../../../core/operation/inputs.ts';
import type { VolumeConnection } from '../../../core/ports/storage-target.ts';
import type { VolumeId } from '../../../core/units.ts';
import type { ImageFile } from './images.ts';

/** Where the data of volumes and snapshots lies. Every mutator is an ensure, and none leaves half a thing under the volume's name. */
export interface Backing {
  /** Makes a volume with an image's content. @throws DpuError `exhausted`, `internal`. */
  fromImage(id: VolumeId, image: ImageFile, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** Makes a volume with a snapshot's content. */
  fromSnapshot(id: VolumeId, snapshot: string, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** Makes an empty volume. */
  blank(id: VolumeId, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** Makes the data unreadable as told, then removes it. One that is not there is fine. @throws DpuError `unsupported`. */
  remove(id: VolumeId, wipe: Wipe, signal?: AbortSignal): Promise<void>;
  /** `written`: somebody may be writing it. @throws DpuError `unsupported` when a volume that is written can't be snapshotted. */
  snapshot(id: VolumeId, snapshot: string, written: boolean, signal?: AbortSignal): Promise<void>;
  /** One that is not there is fine. */
  removeSnapshot(snapshot: string, signal?: AbortSignal): Promise<void>;
  /** Gives a volume a larger size. */
  grow(id: VolumeId, sizeBytes: number, signal?: AbortSignal): Promise<void>;
  /** How a storage target on this machine reaches it. */
  connection(id: VolumeId, sizeBytes: number): VolumeConnection;
}
