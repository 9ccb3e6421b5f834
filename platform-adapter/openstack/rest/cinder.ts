import type { JsonObject } from '../../../core/units.ts';
import type { CallOptions } from './http.ts';

/** A volume. */
export interface CinderVolume {
  readonly id: string;
  readonly name: string;
  /** creating, available, reserved, attaching, in-use, detaching, error, ... */
  readonly status: string;
  readonly sizeGib: number;
  readonly bootable: boolean;
  readonly multiattach: boolean;
  readonly encrypted: boolean;
  readonly volumeType: string | null;
  readonly availabilityZone: string | null;
  readonly projectId: string | null;
  readonly snapshotId: string | null;
  readonly attachments: readonly {
    readonly attachmentId: string;
    readonly serverId: string;
    readonly device: string | null;
    readonly hostName: string | null;
  }[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Properties of the image that it was made from. */
  readonly imageMetadata: Readonly<Record<string, string>>;
  /** nova takes a lock around connects when this is true (shared_targets, 3.48). */
  readonly sharedTargets: boolean | null;
  readonly serviceUuid: string | null;
}

/** A volume to be made: of an image, of a snapshot, or empty. */
export interface NewVolume {
  readonly sizeGib: number;
  readonly imageId?: string;
  readonly snapshotId?: string;
  readonly name?: string;
  readonly description?: string;
  readonly volumeType?: string;
  readonly availabilityZone?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

/** What the host that will use a volume is called, by each protocol (os_brick.initiator.connector.get_connector_properties). */
export interface Connector {
  readonly host: string;
  readonly ip: string;
  readonly initiator?: string;
  readonly nqn?: string;
  readonly multipath: boolean;
  readonly platform: string;
  readonly osType: string;
  readonly mountpoint?: string;
}

/** An attachment of a volume (microversion 3.27 and newer). */
export interface Attachment {
  readonly id: string;
  readonly volumeId: string;
  readonly instance: string | null;
  readonly status: string;
  readonly attachMode: string | null;
  /**
   * How to reach the volume, in the form that nova keeps in a BlockDeviceMapping: `{driver_volume_type, data, status, instance, attached_at, detached_at,
   * volume_id}`. null before the connector was given. May hold secrets.
   */
  readonly connectionInfo: ConnectionInfo | null;
}

/** Cinder's connection_info as nova keeps it. */
export interface ConnectionInfo {
  readonly driver_volume_type: string;
  readonly data: JsonObject;
  readonly [field: string]: JsonObject[string];
}

/** A snapshot of a volume. */
export interface CinderSnapshot {
  readonly id: string;
  readonly volumeId: string;
  readonly name: string;
  readonly status: string;
  readonly sizeGib: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** How long to wait for a status, and how often to look. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; then the error is `timeout`. */
  readonly timeoutMs: number;
  /** Milliseconds between looks. Default 1000. */
  readonly everyMs?: number;
}

/** Cinder, volume API 3.44 (volumes 3.48, reimage 3.68). */
export interface Cinder {
  /** @throws `not_found`. */
  showVolume(id: string, options?: CallOptions): Promise<CinderVolume>;
  /** Of all projects for an admin; by metadata. */
  listVolumes(
    filter: { readonly metadata?: Readonly<Record<string, string>>; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly CinderVolume[]>;
  /** Not repeated after a lost answer. @throws `exhausted` (quota), `not_found` (image, snapshot), `invalid`. */
  createVolume(volume: NewVolume, options?: CallOptions): Promise<CinderVolume>;
  /** Waits for one of the wanted statuses. @throws `bad_state` at `error…` or `not_found`, `timeout`. */
  waitForVolume(id: string, wanted: readonly string[], options: WaitOptions): Promise<CinderVolume>;
  /** One that is not there is fine. @throws `bad_state` (in use, has snapshots). */
  deleteVolume(id: string, options?: CallOptions): Promise<void>;
  /** Grows it, in use (3.42) or not; Cinder goes on after the answer. @throws `invalid` (not larger), `exhausted`, `bad_state`. */
  extendVolume(id: string, sizeGib: number, options?: CallOptions): Promise<void>;
  /** Fills it with an image again (os-reimage, 3.68). @throws `bad_state`, `unsupported` (older Cinder). */
  reimageVolume(
    id: string,
    reimage: { readonly imageId: string; readonly reimageReserved: boolean },
    options?: CallOptions,
  ): Promise<void>;

  /** @throws `exhausted`, `bad_state`. */
  createSnapshot(
    snapshot: {
      readonly volumeId: string;
      readonly name: string;
      /** Also of a volume in use. */
      readonly force: boolean;
      readonly metadata?: Readonly<Record<string, string>>;
    },
    options?: CallOptions,
  ): Promise<CinderSnapshot>;
  /** @throws `not_found`. */
  showSnapshot(id: string, options?: CallOptions): Promise<CinderSnapshot>;
  listSnapshots(
    filter: { readonly volumeId?: string; readonly name?: string; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly CinderSnapshot[]>;
  /** @throws as `waitForVolume`. */
  waitForSnapshot(id: string, wanted: readonly string[], options: WaitOptions): Promise<CinderSnapshot>;
  /** One that is not there is fine. @throws `bad_state`. */
  deleteSnapshot(id: string, options?: CallOptions): Promise<void>;

  /** Reserves the volume for an instance; with a connector it is exported too. @throws `bad_state` (in use), `not_found`. */
  createAttachment(
    attachment: {
      readonly volumeId: string;
      readonly instance: string;
      readonly connector?: Connector;
      readonly mode?: 'rw' | 'ro';
    },
    options?: CallOptions,
  ): Promise<Attachment>;
  /** @throws `not_found`. */
  showAttachment(id: string, options?: CallOptions): Promise<Attachment>;
  listAttachments(
    filter: { readonly volumeId?: string; readonly instance?: string; readonly allProjects?: boolean },
    options?: CallOptions,
  ): Promise<readonly Attachment[]>;
  /** Exports the volume to the connector; the same connector again gives the same. @throws `not_found`, `bad_state`. */
  updateAttachment(id: string, connector: Connector, options?: CallOptions): Promise<Attachment>;
  /** Says that the volume is in use now; saying it twice is fine. @throws `not_found`. */
  completeAttachment(id: string, options?: CallOptions): Promise<void>;
  /** Ends the export. One that is not there is fine. @throws `denied` or `conflict` without a service token. */
  deleteAttachment(id: string, options?: CallOptions): Promise<void>;
}
