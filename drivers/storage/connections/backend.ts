import type { Bdev, CallOptions, SpdkClient } from 'spdk-client';
import type { VolumeId } from '../../../core/units.ts';
import type { BackendKind } from '../note.ts';

/** What opening a volume needs besides its connection. */
export interface ConnectionContext {
  readonly volumeId: VolumeId;
  readonly readOnly: boolean;
  /** Directories that `local` files may be in, as real paths; a platform is not to reach any file of the SoC. */
  readonly localDirs: () => Promise<readonly string[]>;
  /** The key of a Ceph user, alone or as a keyring, by the uuid that Cinder names it with; undefined where the operator gave none. */
  readonly cephSecret: (secretUuid: string) => Promise<string | undefined>;
  /** What SPDK's initiators are called: of NVMe over fabrics and of iSCSI. */
  readonly hostNqn: string | undefined;
  readonly initiatorIqn: string;
}

/** How a volume becomes a bdev. Both are ensures. */
export interface Backend {
  readonly kind: BackendKind;
  /** The bdev's name; of nvmeof the controller's. No secret: it goes into the note. */
  readonly name: string;
  /** Opens it and answers the bdev. */
  open(spdk: SpdkClient, options: CallOptions): Promise<Bdev>;
}
