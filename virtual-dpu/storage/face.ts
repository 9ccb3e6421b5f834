import type { Log } from '../../core/ports/log.ts';
import type { Bdevs } from './bdevs.ts';
import type { Exports } from './exports.ts';
import type { LvolStore } from './lvol-store.ts';
import type { NvmeController } from './nvme-initiator.ts';
import type { NvmfTarget } from './nvmf-target.ts';
import type { Qsd } from './qsd.ts';
import type { VhostController } from './vhost.ts';

/** What a face is started with. Paths are absolute. */
export interface FaceSettings {
  /** Where SPDK's JSON-RPC is served. */
  readonly socket: string;
  /** How controllers are reached: NBD exports by their names on one socket, or a vhost-user socket each in a directory. */
  readonly front:
    | { readonly kind: 'nbd'; readonly socket: string }
    | { readonly kind: 'vhost-user'; readonly dir: string };
  /** For sockets of its own and what `bdev_malloc_create` makes; emptied of that at the start. */
  readonly runDir: string;
  /** Where the volumes of lvol stores are. */
  readonly lvolDir: string;
  /** The host's QMP socket for live resize; null: the host learns a new size when it connects anew. */
  readonly hostQmp: string | null;
  /** Where to say which process the storage daemon is, as `ProcessRecord` is kept; null: nowhere. */
  readonly pidFile: string | null;
}

/** A Ceph connection, as `bdev_rbd_register_cluster` took it. */
export interface RbdCluster {
  readonly name: string;
  readonly user_id: string | undefined;
  readonly config_param: Readonly<Record<string, string>> | undefined;
  readonly config_file: string | undefined;
  readonly key_file: string | undefined;
  readonly core_mask: string | undefined;
}

/** All that SPDK would hold in its memory. A new face knows nothing but the lvol stores that it finds on bdevs. */
export interface Face {
  readonly settings: FaceSettings;
  readonly log: Log;
  readonly qsd: Qsd;
  readonly bdevs: Bdevs;
  readonly exports: Exports;
  readonly stores: Map<string, LvolStore>;
  readonly nvme: Map<string, NvmeController>;
  readonly nvmf: NvmfTarget;
  readonly vhost: Map<string, VhostController>;
  readonly rbdClusters: Map<string, RbdCluster>;
  /** Runs one at a time, in order: SPDK has one reactor. */
  readonly inTurn: <T>(work: () => Promise<T>) => Promise<T>;
}

/** What a method is called with. */
export type Method = (face: Face, params: unknown) => Promise<unknown> | unknown;
